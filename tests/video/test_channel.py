"""The queue between two threads: what it keeps, what it drops, and how it ends."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from cgnet_deploy.video.channel import Channel


def test_a_lossless_channel_makes_the_giver_wait() -> None:
    channel, third_is_in = Channel[int](2, lossy=False), Event()

    def give() -> None:
        for number in (1, 2, 3):
            channel.put(number)
        third_is_in.set()
        channel.end()

    giver = Thread(target=give)
    giver.start()
    assert not third_is_in.wait(0.05)  # can't come: nobody has taken one
    assert [channel.take(), channel.take(), channel.take(), channel.take()] == [[1], [2], [3], []]
    giver.join()
    assert channel.dropped == 0


def test_a_lossy_channel_keeps_the_newest_and_counts_the_rest() -> None:
    channel = Channel[int](1, lossy=True)
    assert all(channel.put(number) for number in range(5))
    channel.end()
    assert channel.take() == [4]
    assert channel.take() == []
    assert channel.dropped == 4


def test_a_batch_is_full_while_there_is_enough_and_smaller_at_the_end() -> None:
    channel = Channel[int](4, lossy=False)

    def give() -> None:
        for number in range(7):
            channel.put(number)
        channel.end()

    giver = Thread(target=give)
    giver.start()
    assert [channel.take(3), channel.take(3), channel.take(3), channel.take(3)] == [[0, 1, 2], [3, 4, 5], [6], []]
    giver.join()


def test_an_error_comes_after_the_items_before_it() -> None:
    channel = Channel[int](4, lossy=False)
    channel.put(1)
    channel.end(ValueError("the source broke"))
    assert channel.take() == [1]
    with pytest.raises(ValueError, match="the source broke"):
        channel.take()


def test_a_taker_that_leaves_frees_the_giver() -> None:
    channel, said = Channel[int](1, lossy=False), []
    channel.put(1)
    giver = Thread(target=lambda: said.append(channel.put(2)))
    giver.start()
    channel.leave()
    giver.join(10)
    assert said == [False]


def test_a_wait_ends_when_it_is_no_longer_wanted() -> None:
    assert Channel[int](1, lossy=False).take(stopped=lambda: True) == []
