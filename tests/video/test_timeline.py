"""Times of pictures by their stamps, and what is missing by them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cgnet_deploy.video.timeline import Timeline

STEADY = [i / 25 for i in range(20)]
LONG = [i / 25 for i in range(100)]


def placed(stamps: list[float]) -> tuple[Timeline, list[float]]:
    timeline = Timeline(25)
    return timeline, [timeline.place(stamp) for stamp in stamps]


@pytest.mark.parametrize(
    ("stamps", "missing"),
    [
        (STEADY, 0),
        (STEADY[:5] + STEADY[8:], 3),
        (STEADY[:5] + STEADY[6:12] + STEADY[14:], 3),
        ([1 + stamp for stamp in STEADY], 25),  # nothing before the first key frame could be decoded
        ([0.08 + stamp for stamp in STEADY], 0),  # an encoder's delay
        ([0, 0.02, 0.3, 0.31, 0.9, 0.95, 1.7], 0),  # a changing rate
        ([i / 50 for i in range(20)] + [1 + i / 25 for i in range(30)], 0),  # half of the steps, and a gap, at another
        ([i * 3 // 2 / 25 for i in range(60)], 0),  # every third picture left out, as of a screen that was still
        ([*LONG, 0, 0], 0),  # no stamps, as of an AVI's last frames
        ([*LONG[:50], 0, 0, *LONG[52:]], 0),
        ([*LONG[:50], 0, *LONG[54:]], 3),
        ([0], 0),
        (STEADY[:5] + STEADY[10:15] + STEADY[5:10] + STEADY[15:], 0),  # pieces in another order, none lost
        (STEADY[10:] + STEADY[:10], 0),
        (STEADY[5:10] + STEADY[15:] + STEADY[:5], 5),
        (LONG[50:75] + LONG[:25] + LONG[80:] + LONG[25:50], 5),
        (LONG + LONG[:50] + LONG[60:], 10),  # of the second of two recordings
        ([*STEADY, float("nan"), *STEADY], 0),
        ([*LONG[:50], 1e6, *LONG[50:]], 25_000_000 - 100),  # hostile, and no time or memory is lost on it
    ],
)
def test_what_is_missing(stamps: list[float], missing: int) -> None:
    assert placed(stamps)[0].missing == missing


def test_times_are_the_stamps_from_the_first_on() -> None:
    assert placed([0.5, 0.54, 0.7])[1] == pytest.approx([0, 0.04, 0.2])


def test_recordings_joined_go_on_where_the_one_before_ends() -> None:
    timeline, times = placed(STEADY * 3)
    assert times == pytest.approx([i / 25 for i in range(60)])
    assert (timeline.fell, timeline.missing) == (False, 0)  # less than a second is jitter, ...
    timeline, times = placed([i / 25 for i in range(50)] * 3)
    assert times == pytest.approx([i / 25 for i in range(150)])
    assert (timeline.fell, timeline.missing) == (True, 0)


def test_frames_without_stamps_follow_each_other() -> None:
    timeline, times = placed([*LONG[:50], 0, 0, *LONG[52:], 0, 0])
    assert times == pytest.approx([i / 25 for i in range(102)])
    assert not timeline.fell
    assert timeline.end_s == pytest.approx(101 / 25)


@pytest.mark.parametrize(
    "stamps", [[0, 0.04, 0.04, 0.04, 0.16], [0, 0.08, 0.04, 0.12], [5, 4.9, 4.8, 1, 2, 0], [5, 6, 0, 0, 0, 0.04, 7]]
)
def test_times_always_rise(stamps: list[float]) -> None:
    times = placed(stamps)[1]
    assert all(one < other for one, other in pairwise(times))
