"""The accuracy guard: keep what costs most in higher precision until the exported file is accurate enough.

    rank     lower each convolution alone; its cost is what that adds to the logits,
             c_i = sum (l_i - l)^2 / sum l^2 over a few frames; of equal costs the first in the graph is worse
    measure  the mIoU of the file with the k worst kept, run by the runtime it is for, k = 0, 1, 2, 4, 8, ...
    settle   halve the interval between the last k that misses the limit and the first that meets it

Logits rank, not mIoU: a single convolution moves CGNet's mIoU by less than 0.04 points, which is noise, while the
errors of the logits add up: 28.6 dB predicted from single ones, 28.4 dB measured on all together. The mIoU decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cgnet_deploy.errors import AccuracyError
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.lower import Lowering
from cgnet_deploy.export.pipeline import Prepared, write
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.score import Evaluate
from cgnet_deploy.files import scratch
from cgnet_deploy.progress import track
from cgnet_deploy.spec import Precision

log = logging.getLogger(__name__)

LEAST_LOWERED = 0.5  # of the multiply-adds that could be: a file with less is not the precision it says


@dataclass(frozen=True, slots=True)
class Cost:
    """What lowering one convolution alone adds to the logits, as a share of their power."""

    name: str
    noise: float
    macs: int


@dataclass(frozen=True, slots=True)
class Point:
    """A file that was tried. kept: how many of the worst were not lowered. p50_ms: in this process, a rough figure."""

    kept: int
    macs_share: float | None
    miou: float
    drop: float  # points below f32
    p50_ms: float


@dataclass(frozen=True, slots=True)
class Guarded:
    """base_miou: of the fused f32 file, 0 to 1. curve: in the order in which it was measured."""

    limit: float
    base_miou: float
    ranking: tuple[Cost, ...]
    curve: tuple[Point, ...]

    def table(self) -> Iterator[str]:
        """The curve, one line a file, by how many convolutions were kept."""
        yield f"guard: f32 has mIoU {100 * self.base_miou:.2f} %; at most {self.limit:g} points below are allowed"
        for point in sorted(self.curve, key=lambda p: p.kept):
            share = "" if point.macs_share is None else f", {point.macs_share:.1%} of MACs lowered"
            yield (
                f"guard: {point.kept} kept{share}: mIoU {100 * point.miou:.2f} %, drop {point.drop:.3f}, "
                f"{point.p50_ms:.1f} ms"
            )


def guard(prepared: Prepared, limit: float, evaluate: Evaluate, path: Path) -> tuple[frozenset[str], Guarded]:
    """The fewest convolutions to keep for a file that is at most `limit` points of mIoU below f32.

    Raises AccuracyError if there is none; the best of those tried is then written beside `path` (`missed_path`), but
    none that `write` refuses as plainly wrong.
    """
    with scratch("guard") as folder:
        unchanged = folder / "f32.onnx"
        write(in_f32(prepared), unchanged)
        base = evaluate(unchanged)[0]
        costs = rank(prepared)
        curve: dict[int, Point] = {}

        def met(kept: int) -> bool:
            trial = folder / f"{kept}.onnx"
            try:
                write(prepared, trial, names_of(costs, kept))
            except AccuracyError as error:  # so far off that no data set is needed
                log.info(f"guard: {kept} kept: {error}")
                return False
            miou, p50_ms = evaluate(trial)
            share = prepared.lowering.share(names_of(costs, kept))
            curve[kept] = Point(kept, share, miou, 100 * (base - miou), p50_ms)
            return curve[kept].drop <= limit

        kept = fewest(met, most_kept(costs))
    guarded = Guarded(limit, base, costs, tuple(curve.values()))
    for line in guarded.table():
        log.info(line)
    if kept is None:
        if not curve:
            raise AccuracyError(f"--max-drop {limit:g} can't be met: no file with half of the work lowered is right")
        best = min(curve.values(), key=lambda point: (point.drop, point.kept))
        missed = missed_path(path)
        write(prepared, missed, names_of(costs, best.kept))
        raise AccuracyError(
            f"--max-drop {limit:g} can't be met: the best file is {best.drop:.3f} points below f32 with {best.kept} of "
            f"{len(costs)} convolutions kept; it is {missed}, and {path} was not written"
        )
    return names_of(costs, kept), guarded


def rank(prepared: Prepared) -> tuple[Cost, ...]:
    """The convolutions that are lowered, worst first. The same network and frames give the same order."""
    lowering, graph = prepared.lowering, prepared.tensor_graph
    logits = run_single(serialise(graph), prepared.inputs)
    power = sum(float(np.square(own, dtype=np.float64).sum()) for own in logits)
    names = frozenset(site.name for site in lowering.sites)
    costs = []
    for site in track(lowering.sites, len(lowering.sites), "ranking"):
        alone = run_single(serialise(lowering.apply(graph, names - {site.name})), prepared.inputs)
        noise = sum(float(np.square(one - own, dtype=np.float64).sum()) for one, own in zip(alone, logits, strict=True))
        costs.append(Cost(site.name, noise / power, site.macs))
    return tuple(sorted(costs, key=lambda cost: -cost.noise))  # stable: of equals the first in the graph


def fewest(met: Callable[[int], bool], most: int) -> int | None:
    """The smallest k up to `most` that meets the limit, trying few; None if none does.

    More kept is not always better, so nothing is known of what lies between two trials: the answer was tried.
    """
    missed, k = -1, 0
    while not met(k):
        if k == most:
            return None
        missed, k = k, min(max(1, 2 * k), most)
    while k - missed > 1:
        middle = (missed + k) // 2
        if met(middle):
            k = middle
        else:
            missed = middle
    return k


def most_kept(costs: tuple[Cost, ...]) -> int:
    """How many of the worst may be kept while LEAST_LOWERED of the multiply-adds are lowered."""
    return max(k for k in range(len(costs)) if k == 0 or share_among(costs, k) >= LEAST_LOWERED)


def share_among(costs: tuple[Cost, ...], kept: int) -> float:
    """Of the multiply-adds that could be lowered, the part that is; by number where the size is open."""
    weights = [cost.macs for cost in costs] if any(cost.macs for cost in costs) else [1] * len(costs)
    return sum(weights[kept:]) / sum(weights)


def in_f32(prepared: Prepared) -> Prepared:
    """The same network, nothing lowered."""
    request = replace(prepared.request, precision=Precision.F32, int8=None)
    return replace(prepared, request=request, lowering=Lowering(Precision.F32))


def names_of(costs: tuple[Cost, ...], kept: int) -> frozenset[str]:
    return frozenset(cost.name for cost in costs[:kept])


def missed_path(path: Path) -> Path:
    """cgnet.onnx -> cgnet.missed.onnx: no script takes it for the wanted file."""
    return path.with_name(f"{path.stem}.missed{path.suffix}")
