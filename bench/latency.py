"""The only clock in the repository: how one inference is timed, at four boundaries that are never mixed.

    device   the engine's own events round one enqueue, input already on the device
    host     clock; enqueue; sync; clock     input already where the engine reads it
    e2e      clock; infer; clock             u8 frame in host memory to u8 labels in host memory
    paced    as e2e, but started on the ticks of a camera, idle in between

Every sample is kept, in nanoseconds and in order: no outlier is dropped, no mean is taken here.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Boundary = Literal["device", "host", "e2e", "paced"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)

MAX_SAMPLES = 1_000_000  # a round of an engine that does nothing must end too
WINDOW_NS = 50_000_000
WINDOW_STEPS = 3
WINDOWS = 3
AGREEMENT = 1.1
PATIENCE = 10  # a warm-up that doesn't settle ends at this multiple of the least time asked for


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from; tests put their own in."""

    now_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()


@dataclass(frozen=True, slots=True)
class Round:
    """One uninterrupted run of samples; window_ns spans from the first start to the last end, gaps included."""

    samples_ns: tuple[int, ...]
    window_ns: int


@dataclass(frozen=True, slots=True)
class Warmed:
    """steps: how many inferences it took; step_ns: how long the last was; settled: did the last windows agree?"""

    steps: int
    step_ns: int
    settled: bool


def warm_up(step: Callable[[], None], least_ns: int, least_steps: int, clock: Clock = CLOCK) -> Warmed:
    """Run `step` for at least `least_ns` and `least_steps`, then on until the last windows agree.

    A window is at least 50 ms and 3 steps, so that a clock that is still speeding up is seen; the medians of
    the last three must lie within 10 % of each other. A machine that never settles ends it after ten times
    `least_ns` (and `least_steps`), and `settled` says so.
    """
    begin = clock.now_ns()
    window: list[int] = []
    medians: list[int] = []
    steps, window_begin = 0, begin
    while True:
        start = clock.now_ns()
        step()
        end = clock.now_ns()
        steps += 1
        window.append(end - start)
        if len(window) >= WINDOW_STEPS and end - window_begin >= WINDOW_NS:
            medians.append(round(statistics.median(window)))
            window, window_begin = [], end
        if steps < least_steps or end - begin < least_ns:
            continue
        last = medians[-WINDOWS:]
        settled = len(last) == WINDOWS and max(last) <= AGREEMENT * min(last)
        if settled or end - begin >= PATIENCE * least_ns:
            return Warmed(steps, end - start, settled)


def measure(step: Callable[[], None], least_ns: int, least_samples: int, clock: Clock = CLOCK) -> Round:
    """Time `step`, back to back, for at least `least_ns` and `least_samples` (and at most MAX_SAMPLES)."""
    now_ns = clock.now_ns
    samples: list[int] = []
    begin = end = now_ns()
    while (len(samples) < least_samples or end - begin < least_ns) and len(samples) < MAX_SAMPLES:
        start = now_ns()
        step()
        end = now_ns()
        samples.append(end - start)
    return Round(tuple(samples), end - begin)


def measure_paced(
    step: Callable[[], None], fps: float, least_ns: int, least_samples: int, clock: Clock = CLOCK
) -> Round:
    """Time `step` as `measure` does, but start it on the ticks k / fps of an absolute schedule.

    A sample runs from the start of the work, not from the tick: how late a sleeping process wakes belongs to
    the machine. Ticks that pass while `step` is at work are lost, as a camera's frames are; `window_ns` shows
    it, since it ends on the tick after the last sample.
    """
    period_ns = 1e9 / fps
    samples: list[int] = []
    begin = end = clock.now_ns()
    tick = 0
    while len(samples) < least_samples or end - begin < least_ns:
        while (wait_ns := begin + tick * period_ns - clock.now_ns()) > 0:
            clock.sleep(wait_ns / 1e9)
        start = clock.now_ns()
        step()
        end = clock.now_ns()
        samples.append(end - start)
        tick = max(tick + 1, math.ceil((end - begin) / period_ns))
    return Round(tuple(samples), round(tick * period_ns))
