"""What a training run is asked for, and how it ended."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.train.device_feed import fits_device
from cgnet_deploy.train.feed import ALONE, Share
from cgnet_deploy.train.initial import Initial
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.state import NO_TEACHER, RunFile
from cgnet_deploy.train.teacher import Teacher


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """dataset: trained on. val: validated on. run: where all this comes from.

    init: weights to start from. teachers: to learn from; none with --resume, since the run keeps what they saw.
    time_limit_s: end cleanly after so many seconds.
    workers: processes that read and augment.
    """

    recipe: Recipe
    dataset: Dataset
    val: Dataset
    run: RunFile
    out: Path
    device: torch.device
    workers: int = 0
    init: Initial | None = None
    teachers: tuple[Teacher, ...] = ()
    resume: bool = False
    time_limit_s: float = math.inf
    share: Share = ALONE
    began_ns: int = field(default_factory=CLOCK.now_ns)

    @property
    def may_live_on_device(self) -> bool:
        """Whether the data set could live on a GPU, and be augmented there, if it fits this machine's memory."""
        learns_labels_only = self.run.teacher == NO_TEACHER
        return self.device.type == "cuda" and fits_device(self.recipe.augment) and learns_labels_only


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a run ended. final: the confusion of the last validation; None if the run was stopped before its end.

    best: the best validation mIoU, 0 to 1, NaN before the first validation. averaged: the weights to ship.
    """

    step: int
    steps: int | None
    ended: Literal["done", "time limit"] | signal.Signals
    best: float
    final: Confusion | None
    averaged: CGNet
    spec: ModelSpec
    img_per_s: float
