"""The one measure of accuracy against confusions counted by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.evaluation import SCALES, at_truth, confusion_of, confusions, many_views, scaled
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res
from tests.pictures import Pictures, random_labels


def blue(frames: U8) -> U8:
    return frames[..., 0]


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_every_image_counts_once_whatever_the_batch(batch: int) -> None:
    rng = np.random.default_rng(0)
    data = Pictures(random_labels(rng, 11, 5), random_labels(rng, 12, 5))  # 11 is CamVid's void
    fed: list[U8] = []

    def label(frames: U8) -> U8:
        fed.append(frames)
        return blue(frames)

    wanted = np.zeros((11, 11), np.int64)
    for truth, predicted in zip(data.truth, data.predicted, strict=True):
        for t, p in zip(truth.ravel(), predicted.ravel(), strict=True):
            if t != 11:
                wanted[t, p] += 1
    assert np.array_equal(confusion_of(label, data, Res(32, 40), batch=batch).counts, wanted)
    assert {frames.shape for frames in fed} == {(batch, 32, 40, 3)}  # the last batch is filled up


def test_only_the_chosen_images_count_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    data = Pictures(random_labels(rng, 11, 5), random_labels(rng, 11, 5))
    each = list(confusions(blue, data, None, batch=2, images=[4, 0, 2]))
    alone = [confusion_of(blue, data, None, images=[i]) for i in (4, 0, 2)]
    assert [one.counts.tolist() for one in each] == [one.counts.tolist() for one in alone]
    together = confusion_of(blue, data, None, images=range(0, 5, 2))
    assert np.array_equal(together.counts, sum(one.counts for one in each))


def test_labels_are_compared_at_the_size_of_the_truth() -> None:
    truth = np.repeat(np.repeat(np.arange(4, dtype=np.uint8), 16)[None], 64, axis=0)  # (64, 64) in four bands
    confusion = confusion_of(blue, Pictures([truth], [truth]), Res(32, 32))
    assert confusion.counts.sum() == 64 * 64
    assert confusion.miou == 1  # bands of 16 px survive halving: each pixel at 32x32 lies within one band


def test_a_thin_class_that_the_labels_miss_counts_in_full() -> None:
    """The truth is never resized: at the size of the labels a line of one pixel would be half gone, or gone."""
    truth = np.zeros((64, 64), np.uint8)
    truth[31] = 1
    confusion = confusion_of(lambda frames: np.zeros(frames.shape[:3], np.uint8), Pictures([truth], [truth]), Res(8, 8))
    assert confusion.counts[1].tolist() == [64] + [0] * 10


def test_enlarging_repeats_labels_and_invents_none() -> None:
    small = np.array([[1, 9], [4, 0]], np.uint8)
    assert np.array_equal(at_truth(np.zeros((4, 6), np.uint8), small), np.repeat(np.repeat(small, 2, 0), 3, 1))
    assert at_truth(np.zeros((2, 2), np.uint8), small) is small


def test_a_label_that_is_no_class_is_refused() -> None:
    data = Pictures([np.full((32, 40), 12, np.uint8)], random_labels(np.random.default_rng(0), 11, 1))
    with pytest.raises(DataError, match="prediction holds label 12"):
        confusion_of(blue, data, None)


def test_progress_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    data = Pictures([np.zeros((4, 4), np.uint8)] * 20, [np.zeros((4, 4), np.uint8)] * 20)
    with caplog.at_level(logging.INFO):
        confusion_of(blue, data, None, batch=4)
    assert caplog.messages == [f"evaluating on pictures: {share} %" for share in (25, 50, 75, 100)]


def test_many_views_are_mirrored_back_and_averaged() -> None:
    """A network whose class 1 is the left half of whatever it sees: both ways together it says so of every pixel."""
    sizes = []

    def left_half(view: U8) -> F32:
        sizes.append(view.shape[1:3])
        scores = np.zeros((3, 8, 12), np.float32)
        scores[0] = 0.4
        scores[1, :, :6] = 1
        return scores

    assert (many_views(left_half, Res(8, 12))(np.zeros((2, 20, 30, 3), np.uint8)) == 1).all()
    assert sizes == 2 * [size for scale in SCALES for size in 2 * [tuple(scaled(Res(8, 12), scale))]]
