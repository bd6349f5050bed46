"""Pixels by hand: the reference that the exported graphs are compared with must itself be right."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.contracts import CONTRACTS, model_spec
from cgnet_deploy.errors import FrameError
from cgnet_deploy.pixels import check_frames, colour, overlay, to_tensor
from cgnet_deploy.spec import InputSpec, Res

BLUE_GREEN_RED = np.array([[[[10, 20, 30]]]], np.uint8)  # (1, 1, 1, 3)


def test_the_mean_is_subtracted_in_the_order_of_the_network() -> None:
    spec = InputSpec((1.0, 2.0, 3.0), (2.0, 4.0, 8.0), "rgb", Res(32, 32))
    assert to_tensor(BLUE_GREEN_RED, spec).tolist() == [[[[14.5]], [[4.5]], [[0.875]]]]  # (30-1)/2, (20-2)/4, (10-3)/8
    spec = InputSpec((1.0, 2.0, 3.0), (2.0, 4.0, 8.0), "bgr", Res(32, 32))
    assert to_tensor(BLUE_GREEN_RED, spec).tolist() == [[[[4.5]], [[4.5]], [[3.375]]]]


def test_the_official_contract_subtracts_the_blue_mean_from_red() -> None:
    # The loader of the published CamVid weights feeds RGB; its mean file was computed on BGR frames.
    red = to_tensor(BLUE_GREEN_RED, CONTRACTS["camvid-official"])[0, 0, 0, 0]
    assert red == np.float32(30) - np.float32(105.65775)


def test_frames_become_planes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
    tensor = to_tensor(frames, InputSpec((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bgr", Res(32, 32)))
    assert (tensor.shape, tensor.dtype.name, tensor.flags.c_contiguous) == ((2, 3, 3, 4), "float32", True)
    assert np.array_equal(tensor[1, 2], frames[1, :, :, 2])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([[1, 2]], "frames are list"),
        (np.zeros((1, 2, 2, 3), np.float32), "frames are float32"),
        (np.zeros((2, 2, 3), np.uint8), "shape (2, 2, 3); wanted (N, H, W, 3)"),
        (np.zeros((1, 3, 2, 2), np.uint8), "shape (1, 3, 2, 2)"),
        (np.zeros((0, 2, 2, 3), np.uint8), "shape (0, 2, 2, 3)"),
    ],
)
def test_anything_but_a_batch_of_frames_is_refused(frames: object, message: str) -> None:
    with pytest.raises(FrameError) as caught:
        check_frames(frames)
    assert message in str(caught.value)


def test_labels_take_their_colour_as_bgr_and_ignored_ones_black() -> None:
    spec = model_spec("camvid-official", 11, (3, 21))
    painted = colour(np.array([[3, 4, 11, 255]], np.uint8), spec)
    assert painted.tolist() == [[[128, 64, 128], [222, 40, 60], [0, 0, 0], [0, 0, 0]]]


def test_an_overlay_is_between_frame_and_labels() -> None:
    spec = model_spec("camvid-official", 11, (3, 21))
    frame, labels = np.full((1, 2, 3), 100, np.uint8), np.array([[3, 4]], np.uint8)
    assert np.array_equal(overlay(frame, labels, spec, alpha=0), frame)
    assert np.array_equal(overlay(frame, labels, spec, alpha=1), colour(labels, spec))
    assert overlay(frame, labels, spec)[0, 0].tolist() == [114, 82, 114]
    with pytest.raises(FrameError, match="they must have one size"):
        overlay(frame, labels.T, spec)
