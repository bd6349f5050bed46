"""The integers of nv12.py against the real numbers, and against OpenCV's conversion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.engines.nv12 import FORMATS, frames_of, matrix, to_bgr

EVERY = np.meshgrid(np.arange(256), np.arange(0, 256, 15), np.arange(0, 256, 15), indexing="ij")  # Y, Cb, Cr


@pytest.mark.parametrize("name", FORMATS)
def test_integers_round_as_real_numbers_do(name: str) -> None:
    black, factors = matrix(name)
    y, cb, cr = EVERY
    planes = np.stack([np.maximum(y, black) - black, cb - 128, cr - 128]).reshape(3, -1)
    real = (factors @ planes).clip(0, 255).T
    off = np.abs(to_bgr(name, y, cb, cr).reshape(-1, 3) - real)
    assert off.max() < 0.5 + 1e-3  # 255 + 3 * 128 halves of 2^-20


def test_opencv_gives_the_same_within_one() -> None:
    """cv::cvtColor knows BT.601 in limited range; its factors have three decimals."""
    y, cb, cr = (channel.ravel().astype(np.uint8) for channel in EVERY)
    luma = np.stack([y.reshape(256, -1)] * 2, -1).reshape(256, -1).repeat(2, 0)  # each triple is a block of four pixels
    chroma = np.stack([cb, cr], -1).reshape(256, -1)
    nv12 = np.concatenate([luma, chroma])
    theirs = cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12).astype(int)
    ours = frames_of("nv12_bt601_limited", nv12[None])[0].astype(int)
    off = np.abs(ours - theirs)
    assert off.max() == 1
    assert off.mean() < 0.1
