"""A training run from Python: chooses the device, joins the processes of torchrun, trains, and sums up."""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist

from cgnet_deploy.errors import UsageError
from cgnet_deploy.files import make_folder
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.loop import TrainingJob, TrainingResult, train
from cgnet_deploy.train.recipes import Recipe
from cgnet_deploy.train.state import STATE
from cgnet_deploy.train.summary import summary

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
    recipe: Recipe,
    data: str,
    out: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    time_limit_s: float = math.inf,
    workers: int | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    multi_scale: bool = False,
) -> Trained:
    """Train, or go on with the run in `out`.

    data: as `open_dataset` takes it. init: a checkpoint to start from. workers: processes that read and augment,
    by default GPU_WORKERS with a GPU, else none. multi_scale: measure mIoU (ms+flip) too, at the end.

    Raises UserError for what this machine or the recipe doesn't allow, and whatever `train` raises.
    """
    make_folder(out)
    if not resume and (out / STATE).exists():
        raise UsageError(f"{out} holds a run already: --resume goes on with it; or give another --out")
    with _together() as share:
        chosen = _device(device, share)
        _check(recipe, chosen, share)
        if workers is None:
            workers = GPU_WORKERS if chosen.type == "cuda" else 0
        job = TrainingJob(recipe, data, out, chosen, workers, init, resume, time_limit_s, share)
        result = train(job)
        if share.world > 1:
            # A thread of gloo needs the interpreter to free the tensor that it summed last, and aborts the process if
            # that is at its end. This waits without the interpreter.
            dist.barrier()
        return _ended(job, result, multi_scale) if share.rank == 0 else Trained()


def _ended(job: TrainingJob, result: TrainingResult, multi_scale: bool) -> Trained:
    if isinstance(result.ended, signal.Signals):
        log.info(f"stopped by {result.ended.name} at step {result.step}; --resume goes on from there")
        return Trained(result.ended)
    if result.ended == "time limit":
        log.info(f"time limit at step {result.step} of {result.steps}; --resume goes on from there")
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
