"""Reader, engine and consumer at the same time: order, losses, errors, and that no thread is left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np
import pytest

from cgnet_deploy.pixels import U8
from cgnet_deploy.video.stream import DEPTH, Stream


def numbered(count: int) -> Iterator[int]:
    yield from range(count)


def labelled(frames: Sequence[int]) -> list[U8]:
    """Labels that identify their frame."""
    return [np.full((1, 1), frame, np.uint8) for frame in frames]


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("cgnet-reader", "cgnet-engine")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    for thread in ours():
        thread.join(10)
    assert ours() == []


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_frame_of_a_file_comes_in_order_with_its_own_labels(batch: int, workers: int) -> None:
    stream = Stream(numbered(50), labelled, batch=batch, workers=workers)
    done = list(stream)
    assert [one.index for one in done] == [one.frame for one in done] == list(range(50))
    assert [int(one.labels[0, 0]) for one in done] == list(range(50))
    assert stream.dropped == 0


def test_a_slow_consumer_loses_nothing_and_lets_no_more_in_than_the_depths() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    seen = []
    with Stream(source(), labelled, depth=2) as stream:
        for done in stream:
            seen.append(done.index)
            assert len(read) - len(seen) <= 2 * 2 + 3  # two channels, and one frame in each of the three hands
    assert seen == list(range(100))


def test_reading_goes_on_while_the_engine_works() -> None:
    later_frames_are_read = Event()

    def source() -> Iterator[int]:
        yield 0
        yield 1
        later_frames_are_read.set()
        yield 2

    def work(frames: Sequence[int]) -> list[U8]:
        assert later_frames_are_read.wait(10)  # would never come if one thread did both
        return labelled(frames)

    assert len(list(Stream(source(), work))) == 3


def test_of_a_live_source_the_newest_frame_wins_and_the_others_are_counted() -> None:
    engine_has_the_first, nine_more_came = Event(), Event()

    def camera() -> Iterator[int]:
        yield 0
        assert engine_has_the_first.wait(10)
        yield from range(1, 10)
        nine_more_came.set()

    def work(frames: Sequence[int]) -> list[U8]:
        engine_has_the_first.set()
        assert nine_more_came.wait(10)
        return labelled(frames)

    with Stream(camera(), work, live=True) as stream:
        stream._workers[0].join(10)  # the consumer is slow too: it comes when all is over
        assert [one.index for one in stream] == [9]
        assert stream.dropped == 9


def test_an_error_of_the_source_comes_after_its_frames() -> None:
    def source() -> Iterator[int]:
        yield 0
        raise OSError("unplugged")

    stream = Stream(source(), labelled)
    assert next(stream).index == 0
    with pytest.raises(OSError, match="unplugged"):
        next(stream)


def test_engines_work_at_once_and_a_slow_one_changes_no_order() -> None:
    second_is_done = Event()

    def work(frames: Sequence[int]) -> list[U8]:
        if frames[0] == 0:
            assert second_is_done.wait(10)  # would never come if the first held the second up
        elif frames[0] == 1:
            second_is_done.set()
        return labelled(frames)

    assert [one.index for one in Stream(numbered(9), work, workers=2)] == list(range(9))


@pytest.mark.parametrize("count", range(7))
def test_an_error_of_the_source_comes_in_its_turn_whichever_engine_has_it(count: int) -> None:
    def source() -> Iterator[int]:
        yield from range(count)
        raise OSError("unplugged")

    stream = Stream(source(), labelled, batch=2, workers=3)
    assert [next(stream).index for _ in range(count)] == list(range(count))
    with pytest.raises(OSError, match="unplugged"):
        next(stream)


def test_an_error_of_one_of_the_engines_comes_in_its_turn_and_ends_the_others() -> None:
    def work(frames: Sequence[int]) -> list[U8]:
        if frames[0] == 5:
            raise ValueError("out of memory")
        return labelled(frames)

    stream = Stream(numbered(1000), work, workers=2)
    assert [next(stream).index for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="out of memory"):
        next(stream)


def test_an_error_of_the_engine_ends_the_reader_too() -> None:
    def work(frames: Sequence[int]) -> list[U8]:
        raise ValueError("no such size")

    with pytest.raises(ValueError, match="no such size"):
        next(Stream(numbered(1000), work))


def test_the_source_is_closed_by_the_thread_that_reads_it() -> None:
    closed_in: list[str] = []

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_in.append(threading.current_thread().name)

    with Stream(source(), labelled) as stream:
        next(stream)
    assert closed_in == ["cgnet-reader"]


def test_a_loop_left_by_break_leaves_no_thread() -> None:
    for done in Stream(numbered(1000), labelled):
        if done.index == 3:
            break


def test_a_stream_that_is_stopped_ends_though_its_source_hangs() -> None:
    unplugged = Event()

    def source() -> Iterator[int]:
        yield 0
        assert unplugged.wait(10)

    def stopped() -> bool:
        unplugged.set()  # only now can the reader end: the loop has ended before it
        return True

    assert len(list(Stream(source(), labelled, stopped=stopped))) <= 1


def test_the_depth_has_a_default() -> None:
    assert Stream(numbered(0), labelled)._read[0]._room == DEPTH
