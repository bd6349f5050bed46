"""The boundary F-score against one that looks at every pair of pixels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from cgnet_deploy.bench.accuracy.outlines import Outlines, outline
from cgnet_deploy.pixels import U8

IGNORE = 255
Pixels = list[tuple[int, int]]


def boundary(labels: U8, truth: U8, k: int) -> Pixels:
    """By the definition, pixel by pixel."""
    height, width = labels.shape

    def near(y: int, x: int) -> Pixels:
        return [
            (v, u) for v in range(max(0, y - 1), min(height, y + 2)) for u in range(max(0, x - 1), min(width, x + 2))
        ]

    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if labels[y, x] == k
        and any(labels[at] != k for at in near(y, x))
        and all(truth[at] != IGNORE for at in near(y, x))
    ]


def brute_force(truth: U8, labels: U8, classes: int) -> npt.NDArray[np.int64]:
    reach = round(0.0075 * math.hypot(*truth.shape))

    def met(these: Pixels, those: Pixels) -> int:
        return sum(any(math.dist(p, q) <= reach for q in those) for p in these)

    rows = []
    for k in range(classes):
        predicted, true = boundary(labels, truth, k), boundary(truth, truth, k)
        rows.append((met(predicted, true), len(predicted), met(true, predicted), len(true)))
    return np.array(rows)


def blobs(rng: np.random.Generator, classes: int, shape: tuple[int, int]) -> U8:
    """Regions, not noise: in noise every pixel is a boundary."""
    small = rng.integers(0, classes, (shape[0] // 20, shape[1] // 20), np.uint8)
    return np.ascontiguousarray(small.repeat(20, axis=0).repeat(20, axis=1))


@pytest.mark.parametrize("seed", range(2))
def test_it_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = blobs(rng, 3, (120, 220))
    labels = np.roll(truth, rng.integers(-4, 5, 2), axis=(0, 1))
    labels[30:50, 40:90] = rng.integers(0, 3)
    truth[:17, 100:140] = IGNORE
    truth[60:63, 60:66] = IGNORE
    found = Outlines.of(truth, labels, 4, IGNORE)
    assert np.array_equal(found.counts, brute_force(truth, labels, 4))
    met_predicted, predicted, met_true, true = found.counts[:3].T
    precision, recall = met_predicted / predicted, met_true / true
    assert found.f[:3] == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-12)
    assert math.isnan(found.f[3])  # the class that occurs nowhere
    assert found.mean_f == pytest.approx(found.f[:3].mean(), rel=1e-12)


def test_a_perfect_prediction_scores_one_and_a_missed_class_zero() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 20:60] = 1
    assert Outlines.of(truth, truth, 2, IGNORE).f.tolist() == [1, 1]
    assert Outlines.of(truth, np.zeros_like(truth), 2, IGNORE).f.tolist() == [0, 0]


def test_what_lies_under_ignored_pixels_changes_nothing() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 20:60] = 1
    labels = truth.copy()
    truth[:, :10] = IGNORE
    labels[5:50, 2:6] = 1
    assert Outlines.of(truth, labels, 2, IGNORE).f.tolist() == [1, 1]


def test_pictures_are_added_up_before_anything_is_divided() -> None:
    first, second = Outlines(np.array([[1, 2, 1, 4]])), Outlines(np.array([[8, 8, 4, 4]]))
    precision, recall = 9 / 10, 5 / 8
    assert (first + second).mean_f == pytest.approx(2 * precision * recall / (precision + recall))
    assert math.isnan(Outlines.empty(3).mean_f)


def test_the_edge_of_the_picture_is_no_boundary() -> None:
    assert not outline(np.ones((8, 8), np.bool_)).any()
