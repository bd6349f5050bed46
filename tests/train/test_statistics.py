"""Class weights: the paper's formula over valid pixels, against the figures of the repaired official script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.contracts import CAMVID_CLASSES, ClassTable
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError, UsageError
from cgnet_deploy.train.recipe import ByFrequency
from cgnet_deploy.train.recipes import MMSEG_680
from cgnet_deploy.train.statistics import class_counts, class_weights

CAMVID_TRAIN = (4.1112, 3.3982, 9.563, 2.798, 7.3049, 5.454, 9.4029, 9.4412, 6.6961, 9.8676, 10.1971)
CAMVID_TRAINVAL = (4.3667, 3.3573, 9.645, 2.841, 6.9008, 5.1239, 9.458, 9.109, 7.0867, 9.8683, 9.8089)
TRAINVAL_PIXELS = (12284387, 19281259, 721848, 25130056, 4366836, 9017887, 899583, 1251792, 4024593, 518916, 571977)


@pytest.mark.shared
@pytest.mark.parametrize(("split", "wanted"), [("train", CAMVID_TRAIN), ("trainval", CAMVID_TRAINVAL)])
def test_camvid_weights(split: str, wanted: tuple[float, ...], shared: Path) -> None:
    weights = class_weights(ByFrequency(), open_dataset(str(shared / "camvid"), split))
    assert np.abs(weights - wanted).max() < 1e-3


@pytest.mark.shared
def test_camvid_pixels(shared: Path) -> None:
    assert class_counts(open_dataset(str(shared / "camvid"), "trainval")).tolist() == list(TRAINVAL_PIXELS)


def made_up(labels: np.ndarray, table: ClassTable = CAMVID_CLASSES) -> InMemory:
    return InMemory("made up", table, ("one",), ((np.zeros((*labels.shape, 3), np.uint8), labels),))


def test_ignored_pixels_count_nowhere() -> None:
    labels = np.array([[0, 0, 0, 10], [11, 11, 11, 11]], np.uint8)
    weights = class_weights(ByFrequency(), made_up(labels))
    assert weights[0] == pytest.approx(1 / np.log(1.10 + 0.75))
    assert weights[10] == pytest.approx(1 / np.log(1.10 + 0.25))
    assert weights[1:10] == pytest.approx(1 / np.log(1.10))


def test_a_larger_constant_is_softer() -> None:
    labels = np.array([[0, 0, 0, 10]], np.uint8)
    hard, soft = (class_weights(ByFrequency(c), made_up(labels)) for c in (1.10, 1.2))
    assert soft.max() / soft.min() < hard.max() / hard.min()


def test_lists_and_nothing() -> None:
    data = made_up(np.zeros((2, 2), np.uint8))
    assert class_weights(None, data).tolist() == [1.0] * 11
    with pytest.raises(UsageError, match="19 class weights, made up has 11 classes"):
        class_weights(MMSEG_680.class_weights, data)
    with pytest.raises(DataError, match="no labelled pixel"):
        class_weights(ByFrequency(), made_up(np.full((2, 2), 11, np.uint8)))


def test_the_listed_cityscapes_weights_are_of_the_same_formula() -> None:
    """Turned round, they give shares that sum to 1."""
    assert isinstance(MMSEG_680.class_weights, tuple)
    shares = np.exp(1 / np.array(MMSEG_680.class_weights)) - 1.10
    assert (shares > 0).all()
    assert shares.sum() == pytest.approx(1, abs=1e-6)
