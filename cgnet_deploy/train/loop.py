"""The training loop: feed, learn, report, validate, save."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, check_classes
from cgnet_deploy.data.memory import InMemory, in_memory
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.interrupts import Interrupts, caught_interrupts
from cgnet_deploy.model import CGNet
from cgnet_deploy.progress import Task, task
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.train.device_feed import DeviceFeed, fits_device
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.feed import ALONE, Share, batches, steps_per_epoch
from cgnet_deploy.train.journal import Interval, Journal, Validation
from cgnet_deploy.train.learner import Learner, fresh
from cgnet_deploy.train.provenance import provenance
from cgnet_deploy.train.recipes import Recipe
from cgnet_deploy.train.schedule import learning_rate
from cgnet_deploy.train.state import BEST, LAST, load_state, save_state
from cgnet_deploy.train.statistics import class_weights

log = logging.getLogger(__name__)

LOG_LINES = 100  # of a run's progress, where there is no bar


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """data: as `open_dataset` takes it. init: weights to start from.

    time_limit_s: end cleanly after so many seconds. workers: processes that read and augment.
    """

    recipe: Recipe
    data: str
    out: Path
    device: torch.device
    workers: int = 0
    init: Path | None = None
    resume: bool = False
    time_limit_s: float = math.inf
    share: Share = ALONE


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a run ended. final: the confusion of the last validation; None if the run was stopped before its end.

    best: the best validation mIoU, 0 to 1, NaN before the first validation. averaged: the weights to ship.
    """

    step: int
    steps: int
    ended: Literal["done", "time limit"] | signal.Signals
    best: float
    final: Confusion | None
    averaged: CGNet
    spec: ModelSpec
    img_per_s: float


def total_steps(recipe: Recipe, samples: int) -> int:
    """Raises UsageError for a recipe without a length."""
    if recipe.steps:
        return recipe.steps
    if recipe.epochs:
        return recipe.epochs * steps_per_epoch(samples, recipe.batch)
    raise UsageError(f"recipe {recipe.name} has no length; give --iterations or --epochs")


def train(job: TrainingJob) -> TrainingResult:
    """Run, or go on with, `job`; every file of it is in `job.out`.

    Raises DataError for data that can't be used, CheckpointError or UsageError for --init and --resume,
    CgnetError for a loss that is not a finite number and for a full disk.
    """
    recipe, share = job.recipe, job.share
    dataset, val = (in_memory(open_dataset(job.data, split)) for split in (recipe.split, "val"))
    steps = total_steps(recipe, len(dataset))
    table = dataset.table
    spec = ModelSpec(recipe.input, table.names, table.palette, table.ignore_label, recipe.blocks)
    weights = class_weights(recipe.class_weights, dataset)
    learner = Learner(_start(job, dataset), recipe, weights, table.ignore_label, job.device, share)
    best = math.nan
    if job.resume:
        state, best = load_state(job.out, recipe, job.data)
        learner.restore(state)
    with ExitStack() as stack:
        journal = work = None
        if share.rank == 0:
            journal = stack.enter_context(closing(Journal(job.out, learner.step)))
            work = stack.enter_context(task("training", steps, learner.step, LOG_LINES))
        run = _Run(job, dataset, val, steps, spec, learner, journal, work, best)
        ended = run.to_the_end(stack.enter_context(caught_interrupts()))
    return TrainingResult(learner.step, steps, ended, run.best, run.final, learner.averaged, spec, run.img_per_s)


def _start(job: TrainingJob, dataset: Dataset) -> CGNet:
    """The network that training starts from."""
    if job.init is None:
        return fresh(job.recipe, len(dataset.table.names))
    model = load_checkpoint(job.init).model
    check_classes(dataset, model.classes)
    if model.blocks != job.recipe.blocks:
        raise UsageError(f"{job.init} has blocks {model.blocks}, the recipe {job.recipe.blocks}; --set blocks=M,N")
    return model


@dataclass(slots=True)
class _Run:
    """The state of `train` between its steps. journal, work: None in all processes but the first."""

    job: TrainingJob
    dataset: Dataset
    val: Dataset
    steps: int
    spec: ModelSpec
    learner: Learner
    journal: Journal | None
    work: Task | None
    best: float
    final: Confusion | None = None
    img_per_s: float = math.nan
    losses: list[Tensor] = field(default_factory=list)  # since mark_ns
    mark_ns: int = field(default_factory=CLOCK.now_ns)
    began_ns: int = field(default_factory=CLOCK.now_ns)

    def to_the_end(self, interrupts: Interrupts) -> Literal["done", "time limit"] | signal.Signals:
        job, recipe, learner = self.job, self.job.recipe, self.learner
        for images, labels in self._feed(range(learner.step, self.steps)):
            lr = learning_rate(recipe.schedule, recipe.optimiser.lr, learner.step, self.steps)
            loss, norm = learner.learn(images, labels, lr)
            self.losses.append(loss)
            done = learner.step == self.steps
            late = CLOCK.now_ns() - self.began_ns > 1e9 * job.time_limit_s
            stopping = self._agreed(late or interrupts.received is not None)
            validating = done or learner.step % recipe.validate_every == 0
            saving = stopping or validating or learner.step % recipe.save_every == 0
            if saving or learner.step % recipe.log_every == 0:
                self._report(norm, lr)
            if validating:
                self._validate(done)
            if saving:
                self._save()
            if stopping and not done:
                return interrupts.received or "time limit"
        return "done"

    def _feed(self, steps: range) -> Iterator[tuple[Tensor, Tensor]]:
        """On a GPU from a set that lives on it, where the recipe allows; else from this machine's memory or disk."""
        job, dataset = self.job, self.dataset
        if job.device.type == "cuda" and isinstance(dataset, InMemory) and fits_device(job.recipe.augment):
            return DeviceFeed(dataset, job.recipe, job.device).batches(steps, job.share)
        return batches(dataset, job.recipe, steps, job.share, job.workers)

    def _agreed(self, stop: bool) -> bool:
        """Whether any process wants to stop: they must all stop at the same step."""
        if self.job.share.world == 1:
            return stop
        flag = torch.tensor(int(stop), device=self.job.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def _report(self, norm: Tensor, lr: float) -> None:
        """Log the interval since the last call; raise CgnetError, before anything is saved, if it went wrong."""
        recipe, step = self.job.recipe, self.learner.step
        loss = torch.stack(self.losses).mean()  # on a GPU: the point where the host waits for the device
        if self.job.share.world > 1:
            dist.all_reduce(loss)
            loss /= self.job.share.world
        if not math.isfinite(loss) or not (math.isfinite(norm) or recipe.amp):  # amp skips a step that overflows
            raise CgnetError(
                f"the loss is {float(loss):.4g} and the gradient's norm {float(norm):.4g} at step {step}: training "
                f"diverged; the last good state stays in {self.job.out}; lower optimiser.lr (now {lr:.1e}) or set clip"
            )
        now_ns = CLOCK.now_ns()
        self.img_per_s = len(self.losses) * recipe.batch / (now_ns - self.mark_ns) * 1e9
        entry = Interval(step, float(loss), lr, float(norm), self.img_per_s)
        if self.journal and self.work:
            self.journal.interval(entry)
            self.work.update(step, entry.text(self.steps, recipe.batch))
        self.losses, self.mark_ns = [], now_ns

    def _validate(self, done: bool) -> None:
        share, recipe = self.job.share, self.job.recipe
        confusion = confusion_of(self.learner.averaged, self.val, recipe.input, share=share)
        if share.world > 1:
            counts = torch.from_numpy(confusion.counts).to(self.job.device)
            dist.all_reduce(counts)
            confusion = Confusion(counts.cpu().numpy())
        self.final = confusion if done else None
        better = not confusion.miou <= self.best  # also where best is still NaN
        self.best = confusion.miou if better else self.best
        if self.journal:
            iou = {
                n: None if np.isnan(v) else float(v) for n, v in zip(self.spec.class_names, confusion.iou, strict=True)
            }
            self.journal.validation(Validation(self.learner.step, confusion.miou, iou))
            log.info(
                f"step {self.learner.step}: val mIoU {100 * confusion.miou:.2f} %{' (best so far)' if better else ''}"
            )
            self.journal.draw()
            if better:
                self._ship(BEST, confusion.miou)

    def _save(self) -> None:
        if self.job.share.rank == 0:
            self._ship(LAST, None)
            save_state(self.job.out, self.job.recipe, self.job.data, self.learner.state(), self.best)
        self.mark_ns = CLOCK.now_ns()

    def _ship(self, name: str, miou: float | None) -> None:
        job, step = self.job, self.learner.step
        notes = provenance(job.recipe, self.dataset, job.device, job.init, step, self.steps, miou)
        save_checkpoint(self.job.out / name, self.learner.averaged, self.spec, notes)
