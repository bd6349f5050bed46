"""Is the int8 file worth having on this machine? It is timed against the f32 file that it replaces.

    round     open f32, warm it up, time it, close it; the same with int8: never two engines' threads side by side
    speed-up  the median over the rounds of p50 of f32 / p50 of int8, with the 95 % interval of that median

Both run by the backend that the target's files are scored by, in this process. cgnet-bench measures more exactly; what
has to be found out here is only whether int8 gains anything: on a CPU without VNNI, or between layers that have to be
reordered, it may well lose.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.artifact import copy_artifact
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.codec import to_json
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import CgnetError, EngineUnavailable, MissingPackage, PerformanceError, UsageError
from cgnet_deploy.export.checks import in_range
from cgnet_deploy.export.guard import missed_path
from cgnet_deploy.export.pipeline import ExportedOnnx, Prepared, prepare, write
from cgnet_deploy.export.targets import TARGETS, Target
from cgnet_deploy.files import scratch
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.stats import F64, bootstrap

log = logging.getLogger(__name__)

MIN_SPEEDUP = 1.02  # of a CPU target, unless the user says another
ROUNDS = 6
WARM_S, TIMED_S = 0.2, 0.4  # of each engine in each round
LEAST_RUNS = 3

P50Ms = Callable[[Path], float]  # an ONNX file -> the p50 of one round, in ms


@dataclass(frozen=True, slots=True)
class Speedup:
    """backend: what ran both files. base_ms, int8_ms: the p50 of each round. limit: what was wanted."""

    backend: str
    limit: float
    base_ms: tuple[float, ...]
    int8_ms: tuple[float, ...]

    @property
    def rounds(self) -> tuple[float, ...]:
        return tuple(base / int8 for base, int8 in zip(self.base_ms, self.int8_ms, strict=True))

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return bootstrap(medians, self.rounds)

    def to_json(self) -> dict[str, Any]:
        """What was measured, and what follows from it."""
        return {**to_json(self), "median": self.median, "interval": list(self.interval)}

    def summary(self) -> str:
        low, high = self.interval
        base, int8 = (statistics.median(times) for times in (self.base_ms, self.int8_ms))
        return (
            f"{self.median:.2f} ({low:.2f} to {high:.2f}) times as fast as f32 here in {self.backend}: "
            f"p50 {int8:.2f} ms, f32 {base:.2f} ms"
        )


def medians(drawn: F64) -> F64:
    """(draws, n) -> (draws,)."""
    return np.asarray(np.median(drawn, axis=1))


def speedup(backend: str, limit: float, base: Path, int8: Path, p50_ms: P50Ms) -> Speedup:
    """Time both files in turn."""
    rounds = [(p50_ms(base), p50_ms(int8)) for _ in range(ROUNDS)]
    base_ms, int8_ms = zip(*rounds, strict=True)
    return Speedup(backend, limit, base_ms, int8_ms)


def least(wanted: float | None, precision: Precision, target: Target) -> float:
    """The speed-up to demand, 0 for none. Raises UsageError where it can't be measured."""
    measurable = precision is Precision.INT8 and target.on_cpu
    if wanted is None:
        return MIN_SPEEDUP if measurable else 0.0
    if wanted and not measurable:
        names = ", ".join(one.name for one in TARGETS if one.on_cpu)
        raise UsageError(f"--min-speedup {wanted:g} needs --int8 and a --target that is a CPU's: {names}")
    in_range("--min-speedup", wanted, 0, 100)
    return wanted


def write_if_fast(
    prepared: Prepared, path: Path, keep: frozenset[str], limit: float, *, insist: bool
) -> tuple[ExportedOnnx, Speedup | None]:
    """Write the int8 file to `path` if it is `limit` times as fast as the f32 file of the same request.

    insist: raise what keeps this machine from running the files, instead of writing without a measurement. Raises
    PerformanceError if int8 gains too little; the file is then beside `path` (`missed_path`).
    """
    request, backend = prepared.request, prepared.request.target.scored_by
    with scratch("speed") as folder:
        trial, base = folder / "int8.onnx", folder / "f32.onnx"
        written = write(prepared, trial, keep)
        error = why_not_run(backend, trial, request.res, request.batch)
        if error is not None:
            if insist:
                raise error
            log.info(f"how fast int8 is was not measured: {error}")
            return at(written, path), None
        # Fused anew: some rules are not for int8, and f32 without them would be slower than it is.
        plain = replace(request, precision=Precision.F32, int8=None)
        write(prepare(prepared.checkpoint, plain, prepared.frames), base)
        found = speedup(backend, limit, base, trial, timed_by(backend, prepared.frames[0], request.res, request.batch))
        if not found.median >= limit:
            missed = at(written, missed_path(path)).artifact.path
            raise PerformanceError(
                f"--min-speedup {limit:g} is not met: int8 is {found.summary()}; the file is {missed}, and {path} was "
                "not written. Take f32, or --min-speedup 0 to have int8 nevertheless"
            )
        return at(written, path), found


def at(written: ExportedOnnx, path: Path) -> ExportedOnnx:
    """The same file at `path`."""
    return replace(written, artifact=copy_artifact(written.artifact.path, path))


def why_not_run(backend: str, path: Path, res: Res, batch: int) -> CgnetError | None:
    """What keeps this machine from running a file, such as a runtime that isn't installed."""
    try:
        open_engine(f"{backend}:{path}", res=res, batch=batch, cache=False).close()
    except (MissingPackage, EngineUnavailable) as error:
        return error
    return None


def timed_by(backend: str, frames: U8, res: Res, batch: int) -> P50Ms:
    """By a new engine each time, which is warmed up first. frames: (N, H, W, 3) u8."""

    def p50_ms(path: Path) -> float:
        with open_engine(f"{backend}:{path}", res=res, batch=batch, cache=False) as engine:
            run_for(WARM_S, lambda: engine.infer(frames))
            return statistics.median(run_for(TIMED_S, lambda: engine.infer(frames))) / 1e6

    return p50_ms


def run_for(least_s: float, step: Callable[[], object]) -> Sequence[int]:
    """The times of at least LEAST_RUNS runs and so many seconds, in ns."""
    samples: list[int] = []
    begin = CLOCK.now_ns()
    while len(samples) < LEAST_RUNS or CLOCK.now_ns() - begin < least_s * 1e9:
        start = CLOCK.now_ns()
        step()
        samples.append(CLOCK.now_ns() - start)
    return samples
