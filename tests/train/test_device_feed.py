"""The feed for a GPU shows what the CPU's shows: same crops, same labels, same padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.dataset import sample
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.spec import Res
from cgnet_deploy.train.device_feed import DeviceFeed, fits_device
from cgnet_deploy.train.feed import ALONE, batches
from cgnet_deploy.train.recipe import Augment, Scale
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL, MMSEG_512

STEPS = range(12)
RECIPE = replace(CAMVID_OFFICIAL, split="train", batch=4, augment=Augment(Res(40, 44), Scale(0.5, 2.0, choices=16)))


@pytest.mark.parametrize("crop", [Res(40, 44), Res(72, 100)])  # within most views, and around all but the largest
def test_both_feeds_agree(crop: Res) -> None:
    # Odd sides: the nearest label is then never a tie, which OpenCV's fixed point breaks either way.
    drawn = open_dataset("scenes:0:47x61", "val")
    train = InMemory("odd", drawn.table, tuple("abcd"), tuple(sample(drawn, i) for i in range(4)))
    recipe = replace(RECIPE, augment=replace(RECIPE.augment, crop=crop))
    device = DeviceFeed(train, recipe, torch.device("cpu")).batches(STEPS, ALONE)
    for (images, labels), (found, found_labels) in zip(
        batches(train, recipe, STEPS, ALONE, workers=0), device, strict=True
    ):
        assert torch.equal(labels, found_labels)
        assert torch.equal((images == 0).all(1), (found == 0).all(1))
        # The CPU's resize rounds to whole grey levels, in fixed point: two levels at most.
        assert float((images - found).abs().max()) <= 2


def test_which_recipes_it_serves() -> None:
    assert fits_device(CAMVID_OFFICIAL.augment)
    assert not fits_device(MMSEG_512.augment)


def test_images_of_several_sizes() -> None:
    samples = tuple((np.zeros((h, 40, 3), np.uint8), np.zeros((h, 40), np.uint8)) for h in (40, 50))
    with pytest.raises(DataError, match="several sizes"):
        DeviceFeed(InMemory("mixed", CAMVID_CLASSES, ("a", "b"), samples), RECIPE, torch.device("cpu"))
