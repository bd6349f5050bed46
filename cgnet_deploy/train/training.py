"""A training run set up, run and summed up: data, network, learner, and the loop over them."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, closing

import torch.distributed as dist

from cgnet_deploy.data.dataset import Dataset, scored_images
from cgnet_deploy.data.memory import in_memory
from cgnet_deploy.interrupts import caught_interrupts
from cgnet_deploy.progress import task
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.train.feed import bytes_of_batch, total_steps
from cgnet_deploy.train.fitted import Fitted
from cgnet_deploy.train.initial import started
from cgnet_deploy.train.job import TrainingJob, TrainingResult
from cgnet_deploy.train.journal import Journal
from cgnet_deploy.train.learner import Learner
from cgnet_deploy.train.length import Length
from cgnet_deploy.train.loop import Loop
from cgnet_deploy.train.softlabels import SoftLabels
from cgnet_deploy.train.state import NO_TEACHER, load_state
from cgnet_deploy.train.statistics import class_weights
from cgnet_deploy.train.teacher import SOFT_LABELS, read_soft_labels, write_soft_labels
from cgnet_deploy.train.workers import check_shared_memory

log = logging.getLogger(__name__)

LOG_LINES = 100  # of a run's progress, where there is no bar


def train(job: TrainingJob) -> TrainingResult:
    """Run, or go on with, `job`; every file of it is in `job.out`.

    Raises DataError for data that can't be used, CheckpointError or UsageError for --init and --resume,
    CgnetError for a loss that is not a finite number, for a full disk and for workers that fail.
    """
    recipe, share = job.recipe, job.share
    if job.workers and not job.may_live_on_device:
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
        loop = Loop(job, dataset, val, soft, length, spec, learner, journal, work, best)
        ended = loop.to_the_end(stack.enter_context(caught_interrupts()))
    return TrainingResult(
        learner.step, loop.length.steps, ended, loop.best, loop.final, learner.averaged, spec, loop.img_per_s
    )


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
