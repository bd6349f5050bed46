"""A bounded queue between two threads that ends: by the giver's last item or error, or because the taker left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_S = 0.1  # how often a wait looks whether it is still wanted: a signal can't wake a lock


class Channel(Generic[T]):
    """room: items held at most. lossy: a full channel throws its oldest item out instead of making the giver wait.

    dropped: how many items were thrown out.
    """

    def __init__(self, room: int, *, lossy: bool) -> None:
        self.dropped = 0
        self._room, self._lossy = room, lossy
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = self._left = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Give an item; False if nobody will take it, because the taker left."""
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
        """The giver's last word; `error` is raised to the taker behind the items."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def take(self, most: int = 1, stopped: Callable[[], bool] = lambda: False) -> list[T]:
        """At least one item and at most `most`; empty at the end, or when `stopped` says so.

        A lossless channel waits for `most`, so that a batch is full; a lossy one gives what is there.
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
        """The taker's last word: the giver's `put` stops waiting and says so."""
        with self._changed:
            self._left = True
            self._items.clear()
            self._changed.notify_all()
