"""The training loop: feed, learn, report, validate, save."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.interrupts import Interrupts, WaitEnded
from cgnet_deploy.progress import Task
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.train.device_feed import DeviceFeed
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.feed import batches
from cgnet_deploy.train.job import TrainingJob
from cgnet_deploy.train.journal import Interval, Journal, Validation
from cgnet_deploy.train.learner import Learner
from cgnet_deploy.train.length import Length
from cgnet_deploy.train.provenance import provenance
from cgnet_deploy.train.softlabels import SoftLabels
from cgnet_deploy.train.state import BEST, LAST, save_state
from cgnet_deploy.train.workers import WorkerDied, raise_death

log = logging.getLogger(__name__)

MAX_STEPS = 10**9


@dataclass(slots=True)
class Loop:
    """What a run knows between its steps. journal, work: None in all processes but the first.

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
        with closing(feed):  # an error's traceback keeps it, and Python waits for its workers at exit
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

    def _feed(self, steps: range) -> Generator[tuple[Tensor, ...]]:
        """On a GPU from a set that lives on it, where the recipe allows; else from this machine's memory or disk."""
        job, dataset = self.job, self.dataset
        if job.may_live_on_device and isinstance(dataset, InMemory):
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
