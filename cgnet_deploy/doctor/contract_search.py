"""Which input contract a checkpoint was trained with: the one under which it is right about labelled frames.

screen   every candidate on the first SCREENED frames; the KEPT best go on
score    these on all frames, which gives each an mIoU and a confusion matrix for every frame
compare  a candidate is as good as the best if the 95 % bootstrap interval (frames drawn with replacement, the same
         for both) of how much it is worse reaches 0, or if it is worse by less than 0.1 points
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.doctor.candidates import Candidate
from cgnet_deploy.evaluation import Labeller, confusions
from cgnet_deploy.progress import task
from cgnet_deploy.spec import Res
from cgnet_deploy.stats import F64, bootstrap

SCREENED = 2
KEPT = 8
DRAWS = 500
SAME_MIOU = 0.001  # 0 to 1
HOPELESS_MIOU = 0.15  # under the best of all contracts: then it is not the contract that is wrong


@dataclass(frozen=True, slots=True, eq=False)
class ContractScore:
    """A candidate, and its confusion on each frame that it was tried on.

    worse: by how much its mIoU is below the best's, 0 to 1: the ends of the 95 % interval; None if it was screened out.
    """

    candidate: Candidate
    frames: tuple[Confusion, ...]
    worse: tuple[float, float] | None = None

    @property
    def miou(self) -> float:
        return reduce(add, self.frames).miou


@dataclass(frozen=True, slots=True, eq=False)
class ContractSearch:
    """scores: the best first, those screened out last. equals: how many of the first are as good as the best."""

    scores: tuple[ContractScore, ...]
    equals: int

    @property
    def best(self) -> ContractScore:
        return self.scores[0]

    @property
    def hopeless(self) -> bool:
        return self.best.miou < HOPELESS_MIOU


def search(
    candidates: Sequence[Candidate], dataset: Dataset, res: Res, labeller: Callable[[Candidate], Labeller]
) -> ContractSearch:
    """Try all candidates on a data set of at least one frame. labeller: the network under a contract, at `res`."""
    with task("trying contracts", inferences(len(candidates), len(dataset))) as work:

        def tried(candidate: Candidate, images: range) -> tuple[Confusion, ...]:
            frames = []
            for confusion in confusions(labeller(candidate), dataset, res, images=images):
                frames.append(confusion)
                work.advance()
            return tuple(frames)

        few, others = range(min(SCREENED, len(dataset))), range(SCREENED, len(dataset))
        screened = [ContractScore(candidate, tried(candidate, few)) for candidate in candidates]
        screened.sort(key=lambda one: -one.miou)
        last = [replace(one, frames=one.frames + tried(one.candidate, others)) for one in screened[:KEPT]]
    last.sort(key=lambda one: -one.miou)
    last = [replace(one, worse=interval(last[0], one)) for one in last]
    equal = [one for one in last if as_good(last[0], one)]
    worse = [one for one in last if not as_good(last[0], one)]
    return ContractSearch((*equal, *worse, *screened[KEPT:]), len(equal))


def inferences(candidates: int, frames: int) -> int:
    """How many `search` runs."""
    return candidates * min(frames, SCREENED) + min(candidates, KEPT) * max(frames - SCREENED, 0)


def as_good(best: ContractScore, other: ContractScore) -> bool:
    return other.worse is not None and (other.worse[0] <= 0 or best.miou - other.miou < SAME_MIOU)


def interval(best: ContractScore, other: ContractScore) -> tuple[float, float]:
    """Of best's mIoU less the other's."""
    frames = range(len(best.frames))
    return bootstrap(lambda drawn: drawn_miou(best, drawn) - drawn_miou(other, drawn), frames, draws=DRAWS)


def drawn_miou(score: ContractScore, drawn: npt.NDArray[np.int64]) -> F64:
    """(draws, n) numbers of frames -> (draws,) mIoU."""
    counts = np.stack([confusion.counts for confusion in score.frames])
    return np.asarray([Confusion(counts[chosen].sum(0)).miou for chosen in drawn])
