"""Reading, inference and the caller's work on the labels, each in its own thread.

    reader thread  --channel-->  engine thread  --channel-->  the caller's loop

With several engines there is one lane for each: an engine thread between two channels of its own. Reader and caller
go through the lanes in turn, a batch at a time, which keeps the order.

From a file nothing is lost: a full channel makes the thread before it wait, so memory is bounded by the two depths.
From a live source the newest frame wins: each channel holds one batch, and drops the oldest frame for the next.

Threads end with the source, with an error, or when the caller leaves. They hold no reference to the Stream, so a loop
left by `break`, without `with`, ends them too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Generic, Self, TypeVar

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.pixels import U8
from cgnet_deploy.video.channel import Channel

T = TypeVar("T")
C = TypeVar("C")

DEPTH = 4  # frames in each channel: enough to even out a reader that decodes in bursts
READER_GRACE_S = 15.0  # a camera's read gives up after 10 s; see source.py


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[T]):
    """One frame with its labels, (H, W) u8.

    index: the frame's number in its source, from 0; dropped frames leave gaps. engine_ns: the time of the inference,
    divided by its batch. age_ns: from the frame's arrival to its labels.
    """

    index: int
    frame: T
    labels: U8
    engine_ns: int
    age_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Read(Generic[T]):
    """One frame and when it was read."""

    index: int
    frame: T
    at_ns: int


class Stream(Generic[T]):
    """An iterator over frames with their labels, in order; a context manager that ends its threads.

    work: returns the labels of up to `batch` frames; `workers` threads call it at once, one if `live`. live: drop
    frames rather than delay them. stopped: called while waiting; ends the stream when it returns True. An error of the
    source or of an engine is raised by the loop, after the frames before it.

    A source that is a generator is closed by the reader thread.
    """

    def __init__(
        self,
        frames: Iterable[T],
        work: Callable[[Sequence[T]], Sequence[U8]],
        *,
        batch: int = 1,
        live: bool = False,
        depth: int = DEPTH,
        workers: int = 1,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        lanes = 1 if live else workers
        room = batch if live else max(batch, -(-depth // lanes))
        self._read: list[Channel[Read[T]]] = [Channel(room, lossy=live) for _ in range(lanes)]
        self._done: list[Channel[Done[T]]] = [Channel(room, lossy=live) for _ in range(lanes)]
        self._stopped, self._batch, self._yielded = stopped, batch, 0
        self._workers = [
            Thread(target=_work, args=(work, batch, *lane), name="cgnet-engine", daemon=True)
            for lane in zip(self._read, self._done, strict=True)
        ]
        self._reader = Thread(target=_read, args=(frames, batch, self._read), name="cgnet-reader", daemon=True)
        for thread in (*self._workers, self._reader):
            thread.start()

    @property
    def dropped(self) -> int:
        """How many frames of a live source were dropped so far, before or after the engine."""
        return sum(read.dropped + done.dropped for read, done in zip(self._read, self._done, strict=True))

    def __iter__(self) -> Iterator[Done[T]]:
        return self

    def __next__(self) -> Done[T]:
        for done in _lane(self._done, self._batch, self._yielded).take(1, self._stopped):
            self._yielded += 1
            return done
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End all threads; frames in flight are lost. Safe to call twice."""
        self._leave()
        for thread in self._workers:
            thread.join()
        self._reader.join(READER_GRACE_S)

    def __del__(self) -> None:
        # After a loop left by `break`, without `with`: no thread holds the Stream, so this runs.
        self._leave()

    def _leave(self) -> None:
        for read, done in zip(self._read, self._done, strict=True):
            done.leave()
            read.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lane(lanes: Sequence[Channel[C]], batch: int, count: int) -> Channel[C]:
    """The lane for frame number `count`."""
    return lanes[count // batch % len(lanes)]


def _read(frames: Iterable[T], batch: int, lanes: Sequence[Channel[Read[T]]]) -> None:
    count, trouble = 0, None
    try:
        iterator = iter(frames)
        try:
            for frame in iterator:
                if not _lane(lanes, batch, count).put(Read(count, frame, CLOCK.now_ns())):
                    break
                count += 1
        finally:
            # In this thread and not by its owner: a capture must not be released during a read.
            if isinstance(iterator, Generator):
                iterator.close()
    except BaseException as error:  # any error at all is the caller's, after the frames before it
        trouble = error
    last = _lane(lanes, batch, count)
    for lane in lanes:
        lane.end(trouble if lane is last else None)


def _work(
    work: Callable[[Sequence[T]], Sequence[U8]], batch: int, read: Channel[Read[T]], done: Channel[Done[T]]
) -> None:
    try:
        while taken := read.take(batch):
            start_ns = CLOCK.now_ns()
            labels = work([one.frame for one in taken])
            end_ns = CLOCK.now_ns()
            engine_ns = (end_ns - start_ns) // len(taken)
            for one, its in zip(taken, labels, strict=True):
                if not done.put(Done(one.index, one.frame, its, engine_ns, end_ns - one.at_ns)):
                    return
    except BaseException as error:
        done.end(error)
        read.leave()
    else:
        done.end()
