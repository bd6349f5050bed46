"""When the pictures of a file are due, by its time stamps, and how many are missing by them.

Stamps that fall far (recordings joined to one file) go on where the pictures before them end. A gap is counted where
most steps between stamps are one period: of a changing rate nobody can say what is missing.
"""

from __future__ import annotations

FALL_S = 1.0  # less is jitter
HEAD_S = 0.25  # before the first picture; less is the encoder's delay
STEADY = 0.25  # of a period, by which a step may differ from it


class Timeline:
    """fps: nominal, of the file. fell: whether stamps have fallen far."""

    def __init__(self, fps: float) -> None:
        self._fps, self._last_s, self._time_s, self._shift_s = fps, 0.0, 0.0, 0.0
        self._count = self._steady = self._gaps = 0
        self.fell = False

    @property
    def missing(self) -> int:
        return self._gaps if 2 * self._steady > self._count - 1 else 0

    def place(self, stamp_s: float) -> float:
        """When a picture with this stamp is due: seconds since the first, always later than the one before."""
        if self._count == 0:
            self._shift_s = stamp_s
            self._gaps += round(stamp_s * self._fps) if stamp_s >= HEAD_S else 0
        else:
            self._follow(stamp_s)
        self._last_s = stamp_s
        self._count += 1
        return self._time_s

    def _follow(self, stamp_s: float) -> None:
        periods = (stamp_s - self._last_s) * self._fps
        self._steady += abs(periods - 1) <= STEADY
        self._gaps += max(0, round(periods) - 1)
        next_s = self._time_s + 1 / self._fps
        if self._last_s - stamp_s > FALL_S:
            self.fell, self._shift_s = True, stamp_s - next_s
        own_s = stamp_s - self._shift_s
        self._time_s = own_s if own_s > self._time_s else next_s
