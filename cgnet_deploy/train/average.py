"""The mean of several trained networks (mean.py) as a checkpoint. Its notes are those of the last one, and which it is
the mean of.

    python -m cgnet_deploy.train.average --data camvid --recipe camvid-fine --out mean.pth official.pth fine/last.pth
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cgnet_deploy.data.dataset import check_classes
from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import require
from cgnet_deploy.places import check_writable
from cgnet_deploy.terminal import Parser, integer, run, show
from cgnet_deploy.train.recipes import RECIPES


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 done, 1 failed, 2 bad input."""
    parser = Parser("python -m cgnet_deploy.train.average", "Average networks trained on from the same weights.")
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, metavar="CKPT", help="of the same network, classes and input")
    add("--data", required=True, help=WHAT)
    add("--recipe", required=True, choices=RECIPES, help="whose batches BatchNorm's statistics are measured on")
    add("--steps", type=integer(1, 100_000), default=50, metavar="N", help="number of batches (default 50)")
    add("--out", required=True, type=Path, metavar="FILE", help="the checkpoint to write")
    return run(parser, _average, argv)


def _average(args: argparse.Namespace) -> int:
    check_writable(args.out)
    require("torch", extra="train")
    from cgnet_deploy.checkpoint.reading import load_checkpoint
    from cgnet_deploy.checkpoint.writing import save_checkpoint
    from cgnet_deploy.model import flushed_denormals
    from cgnet_deploy.train.evaluate import confusion_of
    from cgnet_deploy.train.mean import average
    from cgnet_deploy.train.provenance import named, origins

    read = [load_checkpoint(path) for path in args.checkpoints]
    spec = read[-1].spec
    recipe = replace(RECIPES[args.recipe], input=spec.input)
    dataset, val = open_dataset(args.data, recipe.split), open_dataset(args.data, "val")
    check_classes(val, spec.classes)
    with flushed_denormals():  # of which the official weights are full
        model = average(read, dataset, recipe, args.steps)
        miou = confusion_of(model, val, spec.input).miou
    notes = {"mean_of": named(read), "started_from": origins(read), "val_miou": f"{miou:.4f}"}
    sha256 = save_checkpoint(args.out, model, spec, {**read[-1].provenance, **notes})
    show(f"{args.out}  val mIoU {100 * miou:.2f} %  sha256 {sha256}", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
