"""What a user allows, and which candidates are within it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.tuning.trial import Trial

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """max_drop: points of mIoU below PyTorch. target_ms: of the p50. max_size_mib: of the file."""

    max_drop: float
    target_ms: float | None = None
    max_size_mib: float | None = None

    def sized(self, trial: Trial) -> Trial:
        """Refused if its file is too large."""
        size_mib = trial.file_bytes / MIB
        if trial.fate != "waiting" or self.max_size_mib is None or size_mib <= self.max_size_mib:
            return trial
        return replace(trial, fate="refused", why=f"{size_mib:.2f} MiB, above --max-size {self.max_size_mib:g}")

    def judged(self, trial: Trial, base: Confusion) -> Trial:
        """`scored`, or refused if its mIoU is too far below that of PyTorch, `base`; it has been scored."""
        drop = trial.drop(base)
        if drop is not None and drop <= self.max_drop:  # NaN is not
            return replace(trial, fate="scored", why="")
        return replace(
            trial, fate="refused", why=f"mIoU {drop:.3f} points below PyTorch, above --max-drop {self.max_drop:g}"
        )
