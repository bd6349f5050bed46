"""Learning rates, as a function of the step alone: resuming needs no state."""

from __future__ import annotations

import math

from cgnet_deploy.errors import UsageError
from cgnet_deploy.train.recipe import OneCycle, Poly, Trapezoid


def learning_rate(schedule: Poly | OneCycle | Trapezoid, peak: float, step: int, steps: int | None) -> float:
    """The rate of step `step` (from 0) of `steps`; `peak` is the optimiser's lr.

    steps: None while a trapezoid's end is not fixed, which its fall begins with.
    """
    if steps is None:
        if not isinstance(schedule, Trapezoid):
            raise UsageError(f"the schedule {schedule.label} needs a length: --iterations or --epochs")
        return peak * min(1.0, (step + 1) / schedule.rise)
    done = step / steps
    if isinstance(schedule, Poly):
        return (peak - schedule.floor) * math.pow(1 - done, schedule.power) + schedule.floor
    if isinstance(schedule, Trapezoid):
        return peak * min(1.0, (step + 1) / schedule.rise, (steps - step) / schedule.fall)
    if done < schedule.warmup:
        return _cosine(peak / schedule.start, peak, done / schedule.warmup)
    return _cosine(peak, peak / schedule.end, (done - schedule.warmup) / (1 - schedule.warmup))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
