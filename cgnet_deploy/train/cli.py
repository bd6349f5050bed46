"""cgnet-train --recipe NAME --data DIR --out DIR: trains, and prints one row of results to stdout.

Several GPUs: torchrun --nproc-per-node N -m cgnet_deploy.train.cli --recipe ... (the batch is shared out).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from cgnet_deploy.errors import UsageError, UserError
from cgnet_deploy.terminal import Parser, run, say
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.loop import Job, Outcome, train
from cgnet_deploy.train.overrides import overridden
from cgnet_deploy.train.recipes import RECIPES, Recipe
from cgnet_deploy.train.summary import summary


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 done (or ended by --time-limit), 1 failed, 2 bad input, 128 + n stopped by signal n."""
    return run("cgnet-train", lambda: _train(parser().parse_args(argv)))


def parser() -> Parser:
    result = Parser("cgnet-train", "Train a CGNet; results are one row on stdout.")
    add = result.add_argument
    recipes = "; ".join(f"{recipe.name}: {recipe.summary}" for recipe in RECIPES.values())
    add("--recipe", required=True, choices=RECIPES, help=recipes)
    add("--data", required=True, help="folder of CamVid or Cityscapes, or scenes[:SEED[:HxW]]")
    add("--out", required=True, type=Path, help="folder for checkpoints, log and curves; made if missing")
    add("--init", type=Path, help="checkpoint whose weights training starts from (any of the three formats)")
    add("--resume", action="store_true", help="go on with the run in --out as if it had never stopped")
    length = result.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_positive, help="length in passes over the data")
    length.add_argument("--iterations", type=_positive, help="length in steps")
    add("--time-limit", type=float, metavar="MIN", help="end cleanly after so many minutes; --resume goes on")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, such as optimiser.lr=2e-3")
    add("--workers", type=int, help="processes that read and augment (default: 8 with a GPU, else 0: in this one)")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is a GPU")
    add("--multi-scale", action="store_true", help="at the end, measure mIoU (ms+flip) too: 12 views of each image")
    return result


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _train(args: argparse.Namespace) -> int:
    recipe = _recipe(args)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{args.out} can't be made: {error.strerror}") from error
    with _together() as share:
        device = _device(args.device, share)
        if recipe.amp and device.type != "cuda":
            raise UsageError("amp=true needs a GPU; leave it off on a CPU")
        if recipe.batch % share.world:
            raise UsageError(f"a batch of {recipe.batch} can't be shared out to {share.world} processes")
        workers = args.workers if args.workers is not None else (8 if device.type == "cuda" else 0)
        limit_s = float("inf") if args.time_limit is None else 60 * args.time_limit
        job = Job(recipe, args.data, args.out, device, workers, args.init, args.resume, limit_s, share)
        outcome = train(job)
        if share.rank == 0:
            return _ended(job, outcome, args.multi_scale)
    return 0


def _ended(job: Job, outcome: Outcome, multi_scale: bool) -> int:
    if isinstance(outcome.ended, signal.Signals):
        say(f"cgnet-train: stopped by {outcome.ended.name} at step {outcome.step}; --resume goes on from there")
        return 128 + outcome.ended
    if outcome.final is None:
        say(f"cgnet-train: time limit at step {outcome.step} of {outcome.steps}; --resume goes on from there")
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


if __name__ == "__main__":
    sys.exit(main())
