"""When the pictures of a file are due, by its time stamps, and how many are missing by them.

Stamps that fall far (recordings joined to one file) go on where the pictures before them end. What is skipped counts as
missing until it comes (the pieces of a file may stand in another order), and only where two of three steps between
stamps are one period and few are between whole periods: of a changing rate nobody can say what is missing.
"""

from __future__ import annotations

import math
from bisect import bisect_right

FALL_S = 1.0  # less is jitter
HEAD_S = 0.25  # before the first picture; less is the encoder's delay
STEADY = 0.25  # of a period, by which a step may differ from it
UNEVEN = 0.2  # of the steps, which may be no whole number of periods


class Timeline:
    """fps: nominal, of the file. fell: whether stamps have fallen far.

    A stamp of 0 behind others is none (as of the last frames of an AVI with B-frames), or a recording begins there: the
    one behind it tells.
    """

    def __init__(self, fps: float) -> None:
        self._fps, self._last_s, self._time_s, self._shift_s = fps, 0.0, 0.0, 0.0
        self._count = self._steady = self._uneven = self._slot = self._unstamped = 0
        self._slots = _Slots()
        self._before = 0  # missing of the recordings before
        self.fell = False

    @property
    def missing(self) -> int:
        steps = self._count - 1
        constant = 3 * self._steady >= 2 * steps and self._uneven <= UNEVEN * steps
        return self._before + self._slots.missing if constant else 0

    @property
    def end_s(self) -> float:
        """The last stamp, or where it would be."""
        return self._last_s + self._unstamped / self._fps

    def place(self, stamp_s: float) -> float:
        """When a picture with this stamp is due: seconds since the first, always later than the one before."""
        if not math.isfinite(stamp_s):
            stamp_s = self._last_s
        if self._count == 0:
            self._shift_s = stamp_s
            self._slot = round(stamp_s * self._fps) if stamp_s >= HEAD_S else 0
            self._slots.fill(self._slot)
        elif stamp_s == 0:
            self._unstamped += 1
            self._time_s += 1 / self._fps
            self._count += 1
            return self._time_s
        else:
            self._settle(stamp_s)
            self._follow(stamp_s, self._time_s + 1 / self._fps)
        self._last_s = stamp_s
        self._count += 1
        return self._time_s

    def _settle(self, stamp_s: float) -> None:
        """What the stamps of 0 were, now that the next one has come."""
        number, self._unstamped, time_s = self._unstamped, 0, self._time_s
        if number and stamp_s < self._last_s:
            self._follow(0.0, time_s - (number - 1) / self._fps)
            self._last_s, self._time_s = 0.0, time_s
        else:
            for one in range(number):
                self._slots.fill(self._slot + 1 + one)

    def _follow(self, stamp_s: float, next_s: float) -> None:
        """next_s: when it is due if its stamp doesn't say."""
        periods = (stamp_s - self._last_s) * self._fps
        self._steady += abs(periods - 1) <= STEADY
        self._uneven += abs(periods - round(periods)) > STEADY
        self._slot += round(periods)  # step by step: a nominal rate that is a little off adds up to nothing
        far = self._last_s - stamp_s > FALL_S
        if not self._slots.fill(self._slot) and far:  # it was there before: another recording
            self._before += self._slots.missing
            self._slots, self._slot = _Slots(), 0
            self._slots.fill(0)
        if far:
            self.fell, self._shift_s = True, stamp_s - next_s
        own_s = stamp_s - self._shift_s
        self._time_s = own_s if own_s > self._time_s else next_s


class _Slots:
    """Which numbers from 0 (or the least) to the greatest so far have not come: ranges, sorted."""

    def __init__(self) -> None:
        self._starts, self._stops = list[int](), list[int]()
        self._least = self._end = self.missing = 0

    def fill(self, slot: int) -> bool:
        """Whether it is new."""
        if slot >= self._end:
            self._skip(len(self._starts), self._end, slot)
            self._end = slot + 1
            return True
        if slot < self._least:
            self._skip(0, slot + 1, self._least)
            self._least = slot
            return True
        at = bisect_right(self._starts, slot) - 1
        if at < 0 or slot >= self._stops[at]:
            return False
        start, stop = self._starts.pop(at), self._stops.pop(at)
        self.missing -= stop - start
        self._skip(at, slot + 1, stop)
        self._skip(at, start, slot)
        return True

    def _skip(self, at: int, start: int, stop: int) -> None:
        if start < stop:
            self._starts.insert(at, start)
            self._stops.insert(at, stop)
            self.missing += stop - start
