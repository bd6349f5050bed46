"""The training loop: feed, learn, report, validate, save."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, scored_images
from cgnet_deploy.data.memory import InMemory, in_memory
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.interrupts import Interrupts, WaitEnded, caught_interrupts
from cgnet_deploy.model import CGNet
from cgnet_deploy.progress import Task, task
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.train.device_feed import DeviceFeed, fits_device
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.feed import ALONE, Share, batches, bytes_of_batch, total_steps
from cgnet_deploy.train.fitted import Fitted
from cgnet_deploy.train.initial import Initial, started
from cgnet_deploy.train.journal import Interval, Journal, Validation
from cgnet_deploy.train.learner import Learner
from cgnet_deploy.train.length import Length
from cgnet_deploy.train.provenance import provenance
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.softlabels import SoftLabels
from cgnet_deploy.train.state import BEST, LAST, NO_TEACHER, RunFile, load_state, save_state
from cgnet_deploy.train.statistics import class_weights
from cgnet_deploy.train.teacher import SOFT_LABELS, Teacher, read_soft_labels, write_soft_labels
from cgnet_deploy.train.workers import WorkerDied, check_shared_memory, raise_death

log = logging.getLogger(__name__)

LOG_LINES = 100  # of a run's progress, where there is no bar
MAX_STEPS = 10**9


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


def train(job: TrainingJob) -> TrainingResult:
    """Run, or go on with, `job`; every file of it is in `job.out`.

    Raises DataError for data that can't be used, CheckpointError or UsageError for --init and --resume,
    CgnetError for a loss that is not a finite number, for a full disk and for workers that fail.
    """
    recipe, share = job.recipe, job.share
    if job.workers and not _may_live_on_device(job):
        check_shared_memory(bytes_of_batch(recipe, share))
    dataset, val = job.dataset, job.val
    length = Length(recipe, total_steps(recipe, len(dataset)))
    if recipe.batch > len(dataset):
        log.info(f"{dataset.name}: {len(dataset)} to train on are repeated to fill a batch of {recipe.batch}")
    dataset = in_memory(Fitted(dataset, recipe.input.res) if recipe.fit else dataset)
    val = in_memory(val)
    scored_images(val, range(len(val)))  # else no step would be better than another
    table = dataset.table
    spec = ModelSpec(recipe.input, table.names, table.palette, table.ignore_label, recipe.blocks)
    weights = class_weights(recipe.class_weights, dataset)
    learner = Learner(started(recipe, table.names, job.init), recipe, weights, table.ignore_label, job.device, share)
    best = math.nan
    if job.resume:
        state, length, best = load_state(job.out, recipe, job.run.data)
        learner.restore(state)
    soft = _soft_labels(job, dataset)
    length.val_images, length.began_ns = len(val), job.began_ns
    with ExitStack() as stack:
        journal = work = None
        if share.rank == 0:
            journal = stack.enter_context(closing(Journal(job.out, learner.step)))
            work = stack.enter_context(task("training", length.total, length.done(learner.step), LOG_LINES))
        run = _Run(job, dataset, val, soft, length, spec, learner, journal, work, best)
        ended = run.to_the_end(stack.enter_context(caught_interrupts()))
    return TrainingResult(
        learner.step, run.length.steps, ended, run.best, run.final, learner.averaged, spec, run.img_per_s
    )


def _may_live_on_device(job: TrainingJob) -> bool:
    """Whether the data set could live on a GPU, and be augmented there, if it fits this machine's memory."""
    learns_labels_only = job.run.teacher == NO_TEACHER
    return job.device.type == "cuda" and fits_device(job.recipe.augment) and learns_labels_only


def _soft_labels(job: TrainingJob, dataset: Dataset) -> SoftLabels | None:
    """Of the first process's making, or of an earlier one of this run."""
    path = job.out / SOFT_LABELS
    if job.run.teacher == NO_TEACHER:
        return None
    if not job.resume and job.share.rank == 0:
        write_soft_labels(job.teachers, dataset, job.recipe.distill.temperature, path, job.device)
    if job.share.world > 1:
        dist.barrier()
    return read_soft_labels(path, dataset)


@dataclass(slots=True)
class _Run:
    """The state of `train` between its steps. journal, work: None in all processes but the first.

    losses: since mark_ns. norm, lr: of the last step.
    """

    job: TrainingJob
    dataset: Dataset
    val: Dataset
    soft: SoftLabels | None
    length: Length
    spec: ModelSpec
    learner: Learner
    journal: Journal | None
    work: Task | None
    best: float
    final: Confusion | None = None
    img_per_s: float = math.nan
    norm: Tensor = field(default_factory=lambda: torch.tensor(math.nan))
    lr: float = math.nan
    losses: list[Tensor] = field(default_factory=list)
    mark_ns: int = field(default_factory=CLOCK.now_ns)

    def to_the_end(self, interrupts: Interrupts) -> Literal["done", "time limit"] | signal.Signals:
        try:
            return self._learn(interrupts)
        except (WorkerDied, WaitEnded):  # between two steps
            if interrupts.received is None or self.job.share.world > 1:
                raise
            if self.losses:
                self._report()
            self._save()
            return interrupts.received  # it may have met a worker too, before that ignored it
        except RuntimeError as error:
            raise_death(error)
            raise

    def _learn(self, interrupts: Interrupts) -> Literal["done", "time limit"] | signal.Signals:
        job, recipe, learner, length = self.job, self.job.recipe, self.learner, self.length
        feed = self._feed(range(learner.step, length.steps or MAX_STEPS))
        for images, labels, *soft in self._awaited(feed, interrupts):
            self.lr = length.rate(learner.step)
            loss, self.norm = learner.learn(images, labels, self.lr, *soft)
            self.losses.append(loss)
            if recipe.minutes is not None:
                self._fix_length()
            done = learner.step == length.steps
            stopping = bool(self._agreed(length.here_s > job.time_limit_s or interrupts.received is not None))
            validating = done or learner.step % recipe.validate_every == 0
            saving = stopping or validating or learner.step % recipe.save_every == 0
            if saving or learner.step % recipe.log_every == 0:
                self._report()
            if validating:
                self._validate(done)
            if saving:
                self._save()
            if done:
                break
            if stopping:
                return interrupts.received or "time limit"
        return "done"

    def _fix_length(self) -> None:
        """Once its time has come, and again if time runs short."""
        step, first = self.learner.step, self.length.steps is None
        if fall := self._agreed(self.length.new_fall(step)):
            self.length.fix(step, fall)
            if first:
                log.info(f"step {step}: the rate falls from here on, to 0 at about step {self.length.steps}")

    def _feed(self, steps: range) -> Iterator[tuple[Tensor, ...]]:
        """On a GPU from a set that lives on it, where the recipe allows; else from this machine's memory or disk."""
        job, dataset = self.job, self.dataset
        if _may_live_on_device(job) and isinstance(dataset, InMemory):
            return DeviceFeed(dataset, job.recipe, job.device).batches(steps, job.share)
        return batches(dataset, job.recipe, steps, job.share, job.workers, self.soft)

    def _awaited(self, feed: Iterator[tuple[Tensor, ...]], interrupts: Interrupts) -> Iterator[tuple[Tensor, ...]]:
        """`feed`, where a signal ends the wait for a batch, unless other processes would wait for this one then."""
        while True:
            with interrupts.waiting() if self.job.share.world == 1 else nullcontext():
                batch = next(feed, None)
            if batch is None:
                return
            yield batch

    def _agreed(self, value: int) -> int:
        """The largest `value` of all processes: they must all stop, or begin to end, at the same step."""
        if self.job.share.world == 1:
            return value
        largest = torch.tensor(int(value), device=self.job.device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def _report(self) -> None:
        """Log the interval since the last call; raise CgnetError, before anything is saved, if it went wrong."""
        recipe, step, norm, lr = self.job.recipe, self.learner.step, self.norm, self.lr
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
            steps = self.length.steps
            left_s = self.length.left_s if steps is None else (steps - step) * recipe.batch / self.img_per_s
            self.work.update(self.length.done(step), entry.text(steps, left_s))
        self.losses, self.mark_ns = [], now_ns

    def _validate(self, done: bool) -> None:
        share, recipe, began_ns = self.job.share, self.job.recipe, CLOCK.now_ns()
        confusion = confusion_of(self.learner.averaged, self.val, recipe.input, share=share)
        if share.world > 1:
            counts = torch.from_numpy(confusion.counts).to(self.job.device)
            dist.all_reduce(counts)
            confusion = Confusion(counts.cpu().numpy())
        self.final = confusion if done else None
        self.length.validation_s = (CLOCK.now_ns() - began_ns) / 1e9
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
            save_state(self.job.out, self.job.recipe, self.job.run.data, self.learner.state(), self.length, self.best)
        self.mark_ns = CLOCK.now_ns()

    def _ship(self, name: str, miou: float | None) -> None:
        job, step = self.job, self.learner.step
        notes = provenance(job.recipe, self.dataset, job.device, job.run, step, self.length.steps, miou)
        save_checkpoint(self.job.out / name, self.learner.averaged, self.spec, notes)
