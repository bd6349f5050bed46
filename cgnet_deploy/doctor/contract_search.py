"""Which input contract a checkpoint was trained with: the one under which it is right about labelled frames.

first     every candidate on the first SCREENED frames; of those, the KEPT best go on
then      these on all frames, which gives each an mIoU and, frame by frame, its confusion matrices
the same  a candidate is not told apart from the best if the 95 % bootstrap interval (frames drawn with
          replacement, the same for both) of how much it is worse reaches 0, or if that is under 0.1 points
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import fit_labels
from cgnet_deploy.doctor.candidates import Candidate
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

SCREENED = 2
KEPT = 8
DRAWS = 500
SEED = 0
SAME_MIOU = 0.001  # 0 to 1
HOPELESS_MIOU = 0.15  # under the best of all contracts: then it is not the contract that is wrong

Labeller = Callable[[Candidate, U8], U8]  # one (H, W, 3) u8 BGR frame -> (H, W) u8 labels
Sample = tuple[U8, U8]  # a frame of the network's size, and its truth of any size


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A candidate, and its confusion on each frame that it was tried on.

    worse: by how much its mIoU is below the best's, 0 to 1: the ends of the 95 % interval; None if it was not
    tried on all frames.
    """

    candidate: Candidate
    frames: tuple[Confusion, ...]
    worse: tuple[float, float] | None = None

    @property
    def miou(self) -> float:
        total = self.frames[0]
        for confusion in self.frames[1:]:
            total += confusion
        return total.miou


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """tried: the best first; those that dropped out early last. alike: how many of the first can't be told apart."""

    tried: tuple[Tried, ...]
    alike: int

    @property
    def best(self) -> Tried:
        return self.tried[0]

    @property
    def hopeless(self) -> bool:
        return self.best.miou < HOPELESS_MIOU


def run_trial(
    candidates: Sequence[Candidate],
    samples: Sequence[Sample],
    label: Labeller,
    classes: int,
    ignore_label: int,
    done: Callable[[], object] = lambda: None,
) -> Trial:
    """Try all. samples: at least one. done: is called after each frame that was labelled."""

    def tried(candidate: Candidate, some: Sequence[Sample]) -> tuple[Confusion, ...]:
        found = []
        for frame, truth in some:
            labels = fit_labels(label(candidate, frame), Res(*truth.shape))
            found.append(Confusion.of(truth, labels, classes, ignore_label))
            done()
        return tuple(found)

    screened = [Tried(candidate, tried(candidate, samples[:SCREENED])) for candidate in candidates]
    screened.sort(key=lambda one: -one.miou)
    last = [replace(one, frames=one.frames + tried(one.candidate, samples[SCREENED:])) for one in screened[:KEPT]]
    last.sort(key=lambda one: -one.miou)
    last = [replace(one, worse=interval(last[0], one)) for one in last]
    alike = [one for one in last if same(last[0], one)]
    others = [one for one in last if not same(last[0], one)]
    return Trial((*alike, *others, *screened[KEPT:]), len(alike))


def frames_needed(candidates: int, samples: int) -> int:
    """How often `run_trial` calls `done`."""
    return candidates * min(samples, SCREENED) + min(candidates, KEPT) * max(samples - SCREENED, 0)


def same(best: Tried, other: Tried) -> bool:
    assert other.worse is not None
    return other.worse[0] <= 0 or best.miou - other.miou < SAME_MIOU


def interval(best: Tried, other: Tried) -> tuple[float, float]:
    """Of best's mIoU less the other's."""
    drawn = np.random.default_rng(SEED).multinomial(len(best.frames), [1 / len(best.frames)] * len(best.frames), DRAWS)
    differences = drawn_miou(best, drawn) - drawn_miou(other, drawn)
    low, high = np.nanquantile(differences, (0.025, 0.975))
    return float(low), float(high)


def drawn_miou(tried: Tried, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(draws, frames) how often each frame was drawn -> (draws,) mIoU."""
    counts = np.stack([confusion.counts for confusion in tried.frames])
    return np.asarray([Confusion(np.tensordot(weights, counts, 1)).miou for weights in drawn])
