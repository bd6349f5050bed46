"""Batches are a function of seed and step; ranks share them out; a bad sample is one clear error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.spec import Res
from cgnet_deploy.train.feed import Share, batches, keys_of, steps_per_epoch
from cgnet_deploy.train.recipe import Augment, Scale
from cgnet_deploy.train.recipes import CAMVID
from tests.data.trees import camvid_tree, write

RECIPE = replace(CAMVID, batch=4, augment=Augment(Res(32, 32), Scale(0.8, 1.2)))


def test_an_epoch_sees_every_sample_once_but_the_rest() -> None:
    assert steps_per_epoch(10, 4) == 2
    epochs = [[key.sample for step in (2 * e, 2 * e + 1) for key in keys_of(RECIPE, 10, step)] for e in range(3)]
    assert all(len(set(samples)) == 8 for samples in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other_seed = replace(RECIPE, seed=1)
    assert keys_of(other_seed, 10, 0) != keys_of(RECIPE, 10, 0)


def test_ranks_share_a_step_out() -> None:
    together = keys_of(RECIPE, 10, 3)
    parts = [keys_of(RECIPE, 10, 3, Share(rank, 2)) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(together)
    assert len(parts[0]) == len(parts[1]) == 2


def test_a_set_smaller_than_a_batch_is_repeated_to_fill_it() -> None:
    assert steps_per_epoch(3, 4) == steps_per_epoch(1, 8) == 1
    for step in range(5):
        samples = [key.sample for key in keys_of(RECIPE, 3, step)]
        assert len(samples) == 4
        assert set(samples) == {0, 1, 2}
    assert [key.sample for key in keys_of(RECIPE, 1, 0)] == [0, 0, 0, 0]
    with pytest.raises(DataError, match="no picture to train on"):
        steps_per_epoch(0, 4)


def test_a_run_that_starts_later_sees_the_same(tmp_path: Path) -> None:
    train = open_dataset(str(camvid_tree(tmp_path, images=5)), "train")
    straight = list(batches(train, RECIPE, range(3), Share(), workers=0))
    later = list(batches(train, RECIPE, range(2, 3), Share(), workers=0))
    images, labels = straight[2]
    assert images.shape == (4, 3, 32, 32)
    assert labels.dtype == torch.int64
    assert torch.equal(images, later[0][0])
    assert torch.equal(labels, later[0][1])
    assert not torch.equal(images, straight[1][0])


def test_workers_change_nothing(tmp_path: Path) -> None:
    train = open_dataset(str(camvid_tree(tmp_path, images=5)), "train")
    alone, helped = (list(batches(train, RECIPE, range(2), Share(), workers)) for workers in (0, 1))
    for (images, labels), (same_images, same_labels) in zip(alone, helped, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_sample_is_one_line(workers: int, tmp_path: Path) -> None:
    train = open_dataset(str(camvid_tree(tmp_path, images=4)), "train")
    write(tmp_path / "trainannot" / "train2.png", np.full((48, 64), 99, np.uint8))
    with pytest.raises(DataError, match=r"train2\.png holds the label 99") as caught:
        list(batches(train, RECIPE, range(1), Share(), workers))
    assert "\n" not in str(caught.value)
