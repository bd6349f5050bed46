"""A training run from Python: chooses the device, joins the processes of torchrun, trains, and sums up."""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.data.subset import split_by_name
from cgnet_deploy.errors import UsageError
from cgnet_deploy.model import flushed_denormals
from cgnet_deploy.places import check_folder, make_folder
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.initial import Initial
from cgnet_deploy.train.job import TrainingJob, TrainingResult
from cgnet_deploy.train.overrides import lasting, overridden
from cgnet_deploy.train.own import facts_of, own_recipe
from cgnet_deploy.train.provenance import started_from, taught_by
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.recipes import OWN
from cgnet_deploy.train.state import NO_TEACHER, STATE, RunFile, load_run, run_file, save_run
from cgnet_deploy.train.summary import summary
from cgnet_deploy.train.teacher import Teacher
from cgnet_deploy.train.training import train

log = logging.getLogger(__name__)

GPU_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Trained:
    """stopped_by: the signal that ended the run early. table: one row of results, "" if the run isn't complete.

    With several processes, only the first one has either.
    """

    stopped_by: signal.Signals | None = None
    table: str = ""


def start(
    recipe: Recipe | None,
    data: str,
    out: Path,
    *,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    steps: int | None = None,
    init: Path | None = None,
    weights: str | None = None,
    teachers: Sequence[Path] = (),
    holdout: str = "",
    resume: bool = False,
    time_limit_s: float = math.inf,
    workers: int | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    multi_scale: bool = False,
) -> Trained:
    """Train, or go on with the run in `out`.

    recipe: None is that of the run to go on with, else `OWN`, which is completed from the data set. data: as
    `open_dataset` takes it. settings: changes of the recipe, as `--set` takes them. epochs, steps: its length, at most
    one of them. init: a checkpoint of any classes to start from. weights: which of its sets, as of `load_checkpoint`.
    teachers: checkpoints of the same classes, whose mean is learned beside the labels. holdout: pictures of such names,
    such as "0001TP*", are left out and validated on, in place of val. time_limit_s: end cleanly after so many; for
    `OWN` without epochs or steps, the length. workers: processes that read and augment, by default GPU_WORKERS with a
    GPU, else none. multi_scale: measure mIoU (ms+flip) too, at the end.

    Raises UserError for what this machine or the recipe doesn't allow, and whatever `train` raises.
    """
    if weights and not init:
        raise UsageError("--weights goes with --init: it says which of its sets of weights is meant")
    check_folder(out)
    make_folder(out)
    if not resume and (out / STATE).exists():
        raise UsageError(f"{out} holds a run already: --resume goes on with it; or give another --out")
    began_ns = CLOCK.now_ns()
    with flushed_denormals(), _together() as share:  # before PyTorch starts its threads
        chosen = _device(device, share)
        run = load_run(out) if resume else None
        start = Initial.read(init, weights) if init else None
        started = run.started_from if run else started_from(init)
        minutes = time_limit_s / 60 if math.isfinite(time_limit_s) else None
        base = run.full_recipe() if run and _goes_on(recipe, run) else recipe or OWN
        holdout = _same("--holdout", holdout, run.holdout) if run else holdout
        dataset, val = _datasets(data, overridden(base, settings).split, holdout)
        read = tuple(Teacher.read(path, dataset.table.names) for path in teachers)
        taught = taught_by([teacher.checkpoint for teacher in read])
        taught = _same("--teacher", taught, run.teacher) if run else taught
        if base is OWN:
            facts = facts_of(dataset, val)
            recipe = own_recipe(facts, start, settings=settings, epochs=epochs, steps=steps, minutes=minutes)
        else:
            recipe = lasting(overridden(_fitting(base, start), settings), epochs=epochs, steps=steps)
        if recipe.minutes is not None and not resume:
            time_limit_s = math.inf  # it ends by itself in time
        _check(recipe, chosen, share)
        if workers is None:
            workers = GPU_WORKERS if chosen.type == "cuda" else 0
        run = run or run_file(recipe, data, started, holdout, taught)
        if share.rank == 0 and not resume:
            save_run(out, run)
        job = TrainingJob(
            recipe,
            dataset,
            val,
            replace(run, data=data),
            out,
            chosen,
            workers,
            None if resume else start,
            () if resume else read,
            resume,
            time_limit_s,
            share,
            began_ns,
        )
        result = train(job)
        if share.world > 1:
            # A thread of gloo needs the interpreter to free the tensor that it summed last, and aborts the process if
            # that is at its end. This waits without the interpreter.
            dist.barrier()
        return _ended(job, result, multi_scale) if share.rank == 0 else Trained()


def _datasets(data: str, split: str, holdout: str) -> tuple[Dataset, Dataset]:
    """What is trained on, and what is validated on."""
    dataset = open_dataset(data, split)
    if not holdout:
        return dataset, open_dataset(data, "val")
    rest, held_out = split_by_name(dataset, holdout)
    log.info(f"{holdout}: {len(held_out)} pictures are validated on, the other {len(rest)} trained on")
    return rest, held_out


def _same(option: str, said: str, stored: str) -> str:
    """`stored`, of the run to go on with. Raises UsageError if something else is said."""
    if said not in ("", NO_TEACHER, stored):
        raise UsageError(f"{option}: the run to go on with has {stored or 'none'}, not {said}; leave it out")
    return stored


def _goes_on(recipe: Recipe | None, run: RunFile) -> bool:
    """Whether the recipe that `run` stored is meant."""
    return recipe is None or recipe.name == OWN.name == run.recipe


def _fitting(recipe: Recipe, init: Initial | None) -> Recipe:
    """With a bias of the classifier, if `init` has one."""
    if init is None:
        return recipe
    if init.input and (init.input.mean, init.input.color) != (recipe.input.mean, recipe.input.color):
        log.info(f"{init.path} expects another input than the recipe {recipe.name}, which is used")
    return replace(recipe, classifier_bias=init.model.classifier.bias is not None)


def _ended(job: TrainingJob, result: TrainingResult, multi_scale: bool) -> Trained:
    if isinstance(result.ended, signal.Signals):
        log.info(f"stopped by {result.ended.name} at step {result.step}; --resume goes on from there")
        return Trained(result.ended)
    if result.ended == "time limit":
        of = f" of {result.steps}" if result.steps else ""
        log.info(f"time limit at step {result.step}{of}; --resume goes on from there")
    elif result.final is None:
        log.info(f"the run in {job.out} is complete already: it ended at step {result.step}")
    else:
        return Trained(table=summary(job, result, result.final, multi_scale))
    return Trained()


def _check(recipe: Recipe, device: torch.device, share: Share) -> None:
    """Raise UsageError if the recipe can't run on this device by so many processes."""
    for option in ("amp", "captured"):
        if getattr(recipe, option) and device.type != "cuda":
            raise UsageError(f"{option}=true needs a GPU; leave it off on a CPU")
    if recipe.captured and share.world > 1:
        raise UsageError("captured=true is for one process; leave it off with several")
    if recipe.batch % share.world:
        raise UsageError(f"a batch of {recipe.batch} can't be shared out to {share.world} processes")


def _device(name: str | None, share: Share) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; leave it out to train on the CPU")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", share.rank % torch.cuda.device_count())


@contextmanager
def _together() -> Iterator[Share]:
    """The processes that torchrun started, or this one alone."""
    if "RANK" not in os.environ:
        yield Share()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Share(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
