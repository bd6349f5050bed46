"""The source of every measured time, so that a test can replace it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic, in nanoseconds; sleeps for seconds."""

    now_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep

    def now_s(self) -> float:
        """Of deadlines: it is the same in every process of the machine."""
        return self.now_ns() / 1e9


CLOCK = Clock()
