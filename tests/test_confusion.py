"""The confusion matrix against a plain loop over pixels, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.errors import DataError

CLASSES, IGNORE = 4, 255


def maps(values: st.SearchStrategy[int]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, (5, 7), elements=values)


@given(maps(st.sampled_from([0, 1, 2, 3, IGNORE])), maps(st.integers(0, CLASSES - 1)))
def test_counts_equal_a_loop_over_pixels(truth: np.ndarray, labels: np.ndarray) -> None:
    expected = np.zeros((CLASSES, CLASSES), np.int64)
    for t, p in zip(truth.ravel().tolist(), labels.ravel().tolist(), strict=True):
        if t != IGNORE:
            expected[t, p] += 1
    assert np.array_equal(Confusion.of(truth, labels, CLASSES, IGNORE).counts, expected)


def test_derived_measures_by_hand() -> None:
    # Class 0: 3 of 4 pixels hit, 1 pixel of class 1 taken for it. Class 2 is never hit, class 3 occurs nowhere.
    confusion = Confusion(np.array([[3, 0, 1, 0], [1, 5, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]], np.int64))
    assert confusion.iou[:3].tolist() == [3 / 5, 5 / 8, 0]
    assert math.isnan(confusion.iou[3])
    assert confusion.miou == pytest.approx((3 / 5 + 5 / 8) / 3)
    assert confusion.pixel_accuracy == 8 / 12


def test_merging_is_counting_together() -> None:
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, CLASSES, (2, 8, 6, 5), np.uint8)
    parts = [Confusion.of(t, p, CLASSES, IGNORE) for t, p in zip(truth, labels, strict=True)]
    merged = sum(parts, Confusion.empty(CLASSES))
    assert np.array_equal(merged.counts, Confusion.of(truth, labels, CLASSES, IGNORE).counts)


def test_nothing_counted_is_nan() -> None:
    void = np.full((2, 2), IGNORE, np.uint8)
    confusion = Confusion.of(void, np.zeros_like(void), CLASSES, IGNORE)
    assert math.isnan(confusion.miou)
    assert math.isnan(confusion.pixel_accuracy)


def test_an_ignore_label_below_the_class_count_is_left_out() -> None:
    truth = np.array([[0, 1, 2]], np.uint8)
    assert Confusion.of(truth, truth, 3, 1).counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_stray_labels_are_refused() -> None:
    good = np.zeros((2, 2), np.uint8)
    stray = np.array([[0, 0], [0, 7]], np.uint8)
    with pytest.raises(DataError, match="truth holds label 7; wanted 0 to 3, or 255"):
        Confusion.of(stray, good, CLASSES, IGNORE)
    with pytest.raises(DataError, match="prediction holds label 7; wanted 0 to 3"):
        Confusion.of(good, stray, CLASSES, IGNORE)
    with pytest.raises(DataError, match="prediction holds label 7"):  # under an ignored pixel too
        Confusion.of(np.full((2, 2), IGNORE, np.uint8), stray, CLASSES, IGNORE)
    with pytest.raises(DataError, match="shape"):
        Confusion.of(good, good[:1], CLASSES, IGNORE)
    with pytest.raises(DataError, match="4 and 3 classes"):
        _ = Confusion.empty(4) + Confusion.empty(3)
