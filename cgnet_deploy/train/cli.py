"""cgnet-train --data DIR --out DIR [--recipe NAME]: trains, and prints one row of results to stdout.

Several GPUs: torchrun --nproc-per-node N -m cgnet_deploy.train.cli --data ... (the batch is shared out).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.errors import require
from cgnet_deploy.terminal import WEIGHTS, Parser, integer, number, run
from cgnet_deploy.train.recipes import RECIPES

MAX_STEPS = 10**9


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 done (or ended by --time-limit), 1 failed, 2 bad input, 128 + n stopped by signal n."""
    return run(parser(), _train, argv)


def _train(args: argparse.Namespace) -> int:
    require("torch", extra="train")
    from cgnet_deploy.train.start import start

    trained = start(
        RECIPES[args.recipe] if args.recipe else None,
        args.data,
        args.out,
        settings=args.set,
        epochs=args.epochs,
        steps=args.iterations,
        init=args.init,
        weights=args.weights,
        teachers=args.teacher,
        holdout=args.holdout,
        resume=args.resume,
        time_limit_s=math.inf if args.time_limit is None else 60 * args.time_limit,
        workers=args.workers,
        device=args.device,
        multi_scale=args.multi_scale,
    )
    if trained.table:
        print(trained.table)
    return 128 + trained.stopped_by if trained.stopped_by else 0


def parser() -> Parser:
    result = Parser("cgnet-train", "Train a CGNet; results are one row on stdout.")
    add = result.add_argument
    recipes = "; ".join(f"{recipe.name}: {recipe.summary}" for recipe in RECIPES.values())
    add("--recipe", choices=RECIPES, help=f"{recipes}; with --resume, by default the run's own")
    add("--data", required=True, metavar="DIR", help=f"what to train on: {WHAT}")
    add(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for checkpoints, log and curves; made if missing, refused if it holds a run (unless --resume)",
    )
    add(
        "--init",
        type=Path,
        metavar="CKPT",
        help="checkpoint to start from, in any of the three formats and of any classes: the classifier is carried over "
        "where class names match",
    )
    add("--weights", metavar="SET", help=WEIGHTS.replace("a checkpoint that", "an --init that"))
    add(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="CKPT",
        help="checkpoint of the same classes whose answer to each picture is learned too (--set distill.weight, "
        "distill.temperature); several are averaged",
    )
    add(
        "--holdout",
        default="",
        metavar="PATTERN",
        help="leave pictures of such names, such as '0001TP*', out of training and validate on them, in place of val",
    )
    add("--resume", action="store_true", help="go on with the run in --out as if it had never stopped")
    length = result.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=integer(1, MAX_STEPS), metavar="N", help="length in passes over the data")
    length.add_argument("--iterations", type=integer(1, MAX_STEPS), metavar="N", help="length in steps")
    add(
        "--time-limit",
        type=number(0, math.inf),
        metavar="MIN",
        help="stop cleanly after this many minutes; --resume continues; for the recipe own without --epochs or "
        "--iterations it sets the length, and the learning rate falls in time",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, such as optimiser.lr=2e-3")
    add(
        "--workers",
        type=integer(0, 1024),
        metavar="N",
        help="processes that read and augment (default: 8 with a GPU, else 0: in this one)",
    )
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is a GPU")
    add("--multi-scale", action="store_true", help="at the end, measure mIoU (ms+flip) too: 12 views of each image")
    return result


if __name__ == "__main__":
    sys.exit(main())
