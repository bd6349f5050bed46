"""A bounded queue between two threads, which either side can end: the giver with or without an error."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_S = 0.1  # how often a wait checks `stopped`: a signal can't wake a lock


class Channel(Generic[T]):
    """room: items held at most. lossy: a full channel drops its oldest item instead of making the giver wait.

    dropped: how many items were dropped.
    """

    def __init__(self, room: int, *, lossy: bool) -> None:
        self.dropped = 0
        self._room, self._lossy = room, lossy
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = self._left = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Give an item. False if the taker has left."""
        with self._changed:
            while len(self._items) >= self._room and not self._left:
                if self._lossy:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if not self._left:
                self._items.append(item)
                self._changed.notify_all()
            return not self._left

    def end(self, error: BaseException | None = None) -> None:
        """No more items will come; `error` is raised to the taker after the items before it."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def take(self, most: int = 1, stopped: Callable[[], bool] = lambda: False) -> list[T]:
        """At least one item and at most `most`; none at the end, or when `stopped` returns True.

        A lossless channel waits for `most` items, to fill a batch; a lossy one returns what is there.
        """
        wanted = 1 if self._lossy else min(most, self._room)
        with self._changed:
            while len(self._items) < wanted and not self._ended:
                if stopped():
                    return []
                self._changed.wait(LOOK_S)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            if not taken and self._error is not None:
                raise self._error
            return taken

    def leave(self) -> None:
        """The taker takes no more: the giver's `put` stops waiting and returns False."""
        with self._changed:
            self._left = True
            self._items.clear()
            self._changed.notify_all()
