"""From a parsed command line to a trained network: the recipe, the device, the processes, the exit code."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.distributed as dist

from cgnet_deploy.errors import UsageError, UserError
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.loop import Job, Outcome, train
from cgnet_deploy.train.overrides import overridden
from cgnet_deploy.train.recipes import RECIPES, Recipe
from cgnet_deploy.train.state import STATE
from cgnet_deploy.train.summary import summary

log = logging.getLogger(__name__)


def start(args: argparse.Namespace) -> int:
    """Train as `cli.parser` understood the command line. Returns the exit code.

    Raises UserError for what this machine or the recipe doesn't allow, and whatever `train` raises.
    """
    recipe = _recipe(args)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{args.out} can't be made: {error.strerror}") from error
    if not args.resume and (args.out / STATE).exists():
        raise UsageError(f"{args.out} holds a run already: --resume goes on with it; or give another --out")
    with _together() as share:
        device = _device(args.device, share)
        for option in ("amp", "captured"):
            if getattr(recipe, option) and device.type != "cuda":
                raise UsageError(f"{option}=true needs a GPU; leave it off on a CPU")
        if recipe.captured and share.world > 1:
            raise UsageError("captured=true is for one process; leave it off with several")
        if recipe.batch % share.world:
            raise UsageError(f"a batch of {recipe.batch} can't be shared out to {share.world} processes")
        workers = args.workers if args.workers is not None else (8 if device.type == "cuda" else 0)
        limit_s = float("inf") if args.time_limit is None else 60 * args.time_limit
        job = Job(recipe, args.data, args.out, device, workers, args.init, args.resume, limit_s, share)
        outcome = train(job)
        if share.world > 1:
            # A thread of gloo needs the interpreter to free the tensor that it summed last, and aborts the process if
            # that is at its end. This waits without the interpreter.
            dist.barrier()
        if share.rank == 0:
            return _ended(job, outcome, args.multi_scale)
    return 0


def _ended(job: Job, outcome: Outcome, multi_scale: bool) -> int:
    if isinstance(outcome.ended, signal.Signals):
        log.info(f"cgnet-train: stopped by {outcome.ended.name} at step {outcome.step}; --resume goes on from there")
        return 128 + outcome.ended
    if outcome.ended == "time limit":
        log.info(f"cgnet-train: time limit at step {outcome.step} of {outcome.steps}; --resume goes on from there")
        return 0
    if outcome.final is None:
        log.info(f"cgnet-train: the run in {job.out} had reached its end, step {outcome.step}, before")
        return 0
    print(summary(job, outcome, multi_scale))
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    recipe = overridden(RECIPES[args.recipe], args.set)
    if args.epochs:
        return replace(recipe, epochs=args.epochs, steps=None)
    return replace(recipe, epochs=None, steps=args.iterations) if args.iterations else recipe


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
