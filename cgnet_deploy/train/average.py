"""The mean of several trained networks, tensor by tensor, with BatchNorm statistics of its own. Its notes are those of
the last one, and which it is the mean of.

    python -m cgnet_deploy.train.average --data camvid --recipe camvid-fine --out mean.pth official.pth fine/last.pth

Networks that were trained on from the same weights lie in one basin, and their mean generalises better than each
(model soups, arXiv 2203.05482; for what was fine-tuned and its start, arXiv 2109.01903). The mean of two BatchNorms is
not that of their inputs: a pass over training batches measures it (arXiv 1803.05407, section 3).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.data.dataset import Dataset, check_classes
from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.data.memory import in_memory
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import UsageError
from cgnet_deploy.files import check_writable
from cgnet_deploy.model import CGNet, flushed_denormals
from cgnet_deploy.progress import track
from cgnet_deploy.terminal import Parser, integer, run, show
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.feed import ALONE, batches
from cgnet_deploy.train.provenance import named
from cgnet_deploy.train.recipes import RECIPES, Recipe


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
    read = [load_checkpoint(path) for path in args.checkpoints]
    spec = read[-1].spec
    recipe = replace(RECIPES[args.recipe], input=spec.input)
    dataset, val = open_dataset(args.data, recipe.split), open_dataset(args.data, "val")
    check_classes(val, spec.classes)
    check_writable(args.out)
    with flushed_denormals():  # of which the official weights are full
        model = average(read, dataset, recipe, args.steps)
        miou = confusion_of(model, val, spec.input).miou
    notes = {"mean_of": named(read), "val_miou": f"{miou:.4f}"}
    sha256 = save_checkpoint(args.out, model, spec, {**read[-1].provenance, **notes})
    show(f"{args.out}  val mIoU {100 * miou:.2f} %  sha256 {sha256}", args.out)
    return 0


def average(checkpoints: Sequence[Checkpoint], dataset: Dataset, recipe: Recipe, steps: int) -> CGNet:
    """The mean network, in eval mode, its BatchNorm statistics those of `steps` batches of `recipe` from `dataset`.

    It takes the place of the first one's. Raises UsageError if the networks, their classes or inputs differ.
    """
    first = checkpoints[0]
    for other in checkpoints[1:]:
        for what in ("blocks", "class_names", "input"):
            mine, theirs = getattr(first.spec, what), getattr(other.spec, what)
            if mine != theirs:
                raise UsageError(f"no mean of {first.path} and {other.path}: {what} is {mine} and {theirs}")
    weights = [one.model.state_dict() for one in checkpoints]
    model = first.model
    if any(other.keys() != weights[0].keys() for other in weights):
        raise UsageError(f"no mean of {first.path} and the others: a classifier has a bias, another has none")
    model.load_state_dict({key: torch.stack([one[key].float() for one in weights]).mean(0) for key in weights[0]})
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which its stubs leave out
    update_bn(track(_images(dataset, recipe, steps), steps, "measuring BatchNorm"), model)
    return model.eval()


def _images(dataset: Dataset, recipe: Recipe, steps: int) -> Iterator[Tensor]:
    for images, _ in batches(in_memory(dataset), recipe, range(steps), ALONE, workers=0):
        yield images


if __name__ == "__main__":
    sys.exit(main())
