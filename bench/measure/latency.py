"""How one inference is timed, at four boundaries that are never mixed.

    device   the device's own events round one enqueue, input already on the device
    host     clock; enqueue; sync; clock     input already where the engine reads it
    e2e      clock; infer; clock             u8 frame in host memory to u8 labels in host memory
    paced    as e2e, but started on the ticks of a camera, idle in between

Every sample is kept, in nanoseconds and in order: no outlier is dropped, no mean is taken here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from cgnet_deploy.clock import CLOCK, Clock

Boundary = Literal["device", "host", "e2e", "paced"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)

Sampler = Callable[[], int]  # does one piece of work and gives its time in ns, by this clock or the device's own

MAX_SAMPLES = 1_000_000  # a round of an engine that does nothing must end too
WINDOW_NS = 50_000_000
WINDOW_STEPS = 3
WINDOWS = 3
AGREEMENT = 1.1


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


def timed(step: Callable[[], object], clock: Clock = CLOCK) -> Sampler:
    """`step`, giving how long it took."""
    now_ns = clock.now_ns

    def sample() -> int:
        start = now_ns()
        step()
        return now_ns() - start

    return sample


def warm_up(sample: Sampler, least_ns: int, least_steps: int, patience: int, clock: Clock = CLOCK) -> Warmed:
    """Take samples for at least `least_ns` and `least_steps`, then on until the last windows agree.

    A window is at least 50 ms and 3 steps, so that a processor that is still speeding up is seen; the medians
    of the last three must lie within 10 % of each other. A machine that never settles ends it after `patience`
    times `least_ns` (and `least_steps`), and `settled` says so.
    """
    begin = clock.now_ns()
    window: list[int] = []
    medians: list[int] = []
    steps, window_begin = 0, begin
    while True:
        window.append(took := sample())
        end = clock.now_ns()
        steps += 1
        if len(window) >= WINDOW_STEPS and end - window_begin >= WINDOW_NS:
            medians.append(round(statistics.median(window)))
            window, window_begin = [], end
        if steps < least_steps or end - begin < least_ns:
            continue
        last = medians[-WINDOWS:]
        settled = len(last) == WINDOWS and max(last) <= AGREEMENT * min(last)
        if settled or end - begin >= patience * least_ns:
            return Warmed(steps, took, settled)


def measure(sample: Sampler, least_ns: int, least_samples: int, clock: Clock = CLOCK) -> Round:
    """Take samples, back to back, for at least `least_ns` and `least_samples` (and at most MAX_SAMPLES)."""
    now_ns = clock.now_ns
    samples: list[int] = []
    begin = end = now_ns()
    while (len(samples) < least_samples or end - begin < least_ns) and len(samples) < MAX_SAMPLES:
        samples.append(sample())
        end = now_ns()
    return Round(tuple(samples), end - begin)


def measure_paced(sample: Sampler, fps: float, least_ns: int, least_samples: int, clock: Clock = CLOCK) -> Round:
    """Take samples as `measure` does, but start each on a tick k / fps of an absolute schedule.

    A sample runs from the start of the work, not from the tick: how late a sleeping process wakes belongs to
    the machine. Ticks that pass during a sample are lost, as a camera's frames are; `window_ns` shows
    it, since it ends on the tick after the last sample.
    """
    period_ns = 1e9 / fps
    samples: list[int] = []
    begin = end = clock.now_ns()
    tick = 0
    while len(samples) < least_samples or end - begin < least_ns:
        while (wait_ns := begin + tick * period_ns - clock.now_ns()) > 0:
            clock.sleep(wait_ns / 1e9)
        samples.append(sample())
        end = clock.now_ns()
        tick = max(tick + 1, math.ceil((end - begin) / period_ns))
    return Round(tuple(samples), round(tick * period_ns))
