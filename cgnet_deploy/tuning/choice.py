"""Which of the timed files wins: the fastest within all limits; without one, what was nearest to them, and an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.errors import AccuracyError, CgnetError, PerformanceError
from cgnet_deploy.tuning.limits import Limits
from cgnet_deploy.tuning.trial import Trial

Copy = Callable[[Trial, bool], Path]  # keeps a trial's file; True: as one that missed a limit


def chosen(
    timed: Sequence[Trial], candidates: Sequence[Trial], base: Confusion, limits: Limits, copy: Copy
) -> tuple[Trial, Path]:
    """The winner and its file. timed: those of `candidates` that were in the final. base: of PyTorch.

    Raises AccuracyError, PerformanceError or CgnetError if there is none, once the nearest is kept.
    """
    good = [trial for trial in timed if trial.fate == "scored"]
    if not good:
        nothing_good(timed, candidates, base, limits, copy)
    best = min(good, key=lambda trial: trial.typical_ms)
    missed = limits.target_ms is not None and best.typical_ms > limits.target_ms
    path = copy(best, missed)
    if missed:
        raise PerformanceError(
            f"--target-ms {limits.target_ms:g} can't be met: the fastest within --max-drop, {best.name}, takes "
            f"{best.typical_ms:.3f} ms; it is {path}"
        )
    return best, path


def nothing_good(
    timed: Sequence[Trial], candidates: Sequence[Trial], base: Confusion, limits: Limits, copy: Copy
) -> NoReturn:
    """Raise what says why, once the nearest is kept."""
    off = [(drop, trial) for trial in timed if (drop := trial.drop(base)) is not None]
    if off:
        drop, nearest = min(off, key=lambda pair: (pair[0], pair[1].typical_ms))
        path = copy(nearest, True)
        raise AccuracyError(
            f"--max-drop {limits.max_drop:g} can't be met: the best, {nearest.name}, is {drop:.3f} points "
            f"below PyTorch; it is {path}"
        )
    too_large = [trial for trial in candidates if trial.fate == "refused" and trial.file_bytes]
    if too_large:
        smallest = min(too_large, key=lambda trial: trial.file_bytes)
        path = copy(smallest, True)
        raise PerformanceError(
            f"no file is small enough: the smallest, {smallest.name}, is {smallest.why}; it is {path}"
        )
    reasons = "; ".join(f"{trial.name}: {trial.why}" for trial in candidates if trial.why)
    raise CgnetError(f"no candidate could be timed: {reasons}")


def best_so_far(candidates: Sequence[Trial]) -> Trial | None:
    """Of what was scored the fastest, else the fastest in f32, which needs no score; None before anything was timed."""
    sure = [trial for trial in candidates if trial.fate == "scored"]
    sure = sure or [trial for trial in candidates if trial.fate == "fast" and not trial.candidate.coarseness]
    return min(sure, key=lambda trial: trial.typical_ms, default=None)
