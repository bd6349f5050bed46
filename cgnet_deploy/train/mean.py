"""The mean of several trained networks, tensor by tensor, with BatchNorm statistics of its own.

Networks that were trained on from the same weights lie in one basin, and their mean generalises better than each
(model soups, arXiv 2203.05482; for what was fine-tuned and its start, arXiv 2109.01903). The mean of two BatchNorms is
not that of their inputs: a pass over training batches measures it (arXiv 1803.05407, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.memory import in_memory
from cgnet_deploy.errors import UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.progress import track
from cgnet_deploy.train.feed import ALONE, batches
from cgnet_deploy.train.recipe import Recipe


def average(checkpoints: Sequence[Checkpoint], dataset: Dataset, recipe: Recipe, steps: int) -> CGNet:
    """The mean network, in eval mode, its BatchNorm statistics those of `steps` batches of `recipe` from `dataset`.

    It takes the place of the first one's. Raises UsageError if the networks, their classes or inputs differ.
    """
    first = checkpoints[0]
    for other in checkpoints[1:]:
        for what in ("blocks", "class_names", "input"):
            mine, theirs = getattr(first.spec, what), getattr(other.spec, what)
            if mine != theirs:
                raise UsageError(f"{first.path} and {other.path} can't be averaged: {what} is {mine} and {theirs}")
    weights = [one.model.state_dict() for one in checkpoints]
    model = first.model
    if any(other.keys() != weights[0].keys() for other in weights):
        raise UsageError(f"{first.path} and the others can't be averaged: only some classifiers have a bias")
    model.load_state_dict({key: torch.stack([one[key].float() for one in weights]).mean(0) for key in weights[0]})
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which its stubs leave out
    update_bn(track(_images(dataset, recipe, steps), steps, "measuring BatchNorm"), model)
    return model.eval()


def _images(dataset: Dataset, recipe: Recipe, steps: int) -> Iterator[Tensor]:
    for images, _ in batches(in_memory(dataset), recipe, range(steps), ALONE, workers=0):
        yield images
