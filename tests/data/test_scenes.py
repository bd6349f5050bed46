"""Drawn scenes: repeatable, of any size, with every class, and with labels that follow the picture."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.data.scenes import SIZES, Scenes, small
from cgnet_deploy.errors import DataError
from cgnet_deploy.spec import Res

SMALL = Res(90, 120)


def test_a_scene_is_a_function_of_its_number() -> None:
    first, other_seed, other_scene = (Scenes("val", seed, SMALL) for seed in (0, 1, 0))
    frame = first.frame(3)
    small.cache_clear()
    assert np.array_equal(frame, first.frame(3))
    assert not np.array_equal(frame, other_seed.frame(3))
    assert not np.array_equal(frame, other_scene.frame(4))
    assert not np.array_equal(frame, Scenes("train", 0, SMALL).frame(3))


def test_a_caller_may_write_to_what_it_gets() -> None:
    scenes = Scenes("val", 0, SMALL)
    before = scenes.labels(0)
    scenes.labels(0)[:] = 0
    assert np.array_equal(scenes.labels(0), before)


def test_every_class_occurs() -> None:
    scenes = Scenes("val", 0, SMALL)
    assert {int(v) for i in range(20) for v in np.unique(scenes.labels(i))} == set(range(11))


def test_another_size_shows_the_same_street() -> None:
    small, large = (Scenes("val", 0, res).labels(5) for res in (Res(90, 120), Res(180, 240)))
    # Only edges may differ: thin things are at least a pixel wide at every size.
    assert (small == large[1::2, 1::2]).mean() > 0.9


def test_labels_follow_the_picture() -> None:
    """The picture changes where the labels do; with the labels moved by a few pixels it changes far less there."""
    scenes = Scenes("val", 0, Res(180, 240))
    at_edges, beside = [], []
    for i in range(6):
        grey, labels = scenes.frame(i).mean(2), scenes.labels(i)
        change = np.abs(np.diff(grey, axis=1))
        edges = np.diff(labels.astype(int), axis=1) != 0
        at_edges.append(change[edges].mean())
        beside.append(change[np.roll(edges, 5, axis=1)].mean())
    assert np.mean(at_edges) > 2 * np.mean(beside)


def test_splits_follow_each_other() -> None:
    both, val = Scenes("trainval", 0, SMALL), Scenes("val", 0, SMALL)
    assert len(both) == SIZES["train"] + SIZES["val"]
    assert both.identifier(SIZES["train"] + 2) == val.identifier(2)
    assert np.array_equal(both.labels(SIZES["train"] + 2), val.labels(2))


def test_asking_for_scenes() -> None:
    assert open_dataset("scenes", "val").frame(0).shape == (360, 480, 3)
    wide = open_dataset("scenes:7:64x256", "val")
    assert wide.name == "scenes:7"
    assert wide.frame(0).shape == (64, 256, 3)
    with pytest.raises(DataError, match="no split 'all'"):
        open_dataset("scenes", "all")
