"""What is known of a candidate: one frozen row, which tune.json keeps as it grows.

waiting -> failed       it can't be exported or opened, crashed, hangs, or its labels are wrong
        -> slower       another that is no coarser is faster for sure, or a rival was no slower and it is one too many
        -> fast         none is -> scored, or refused: its mIoU, its size or its speed is not what was asked for
        -> same         its file would be that of another
        -> not tried    the time was up
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.tuning.candidates import Candidate

Fate = Literal["waiting", "failed", "slower", "fast", "scored", "refused", "same", "not tried"]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A candidate's row. why: of its fate, in words. by: the name of the one that is faster.

    sha256, file_bytes: of its file, once that is made. p50_ms: of the rounds of its last race, or of the final.
    final_ms: the p50 of all samples of the final.
    confusion: of all images, None before it was scored.
    """

    candidate: Candidate
    fate: Fate = "waiting"
    why: str = ""
    by: str = ""
    sha256: str = ""
    file_bytes: int = 0
    p50_ms: tuple[float, ...] = ()
    final_ms: float | None = None
    confusion: Confusion | None = None

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def typical_ms(self) -> float:
        """The p50; infinite before it was timed."""
        if self.final_ms is not None:
            return self.final_ms
        return median(self.p50_ms) if self.p50_ms else float("inf")

    def drop(self, base: Confusion) -> float | None:
        """By how many points its mIoU lies below that of `base`; None before it was scored."""
        return None if self.confusion is None else 100 * (base.miou - self.confusion.miou)


def beside_pytorch(drop: float) -> str:
    """In words; quantised networks are at times a little better than what they were made from."""
    return f"{abs(drop):.3f} points {'above' if drop < 0 else 'below'} PyTorch"
