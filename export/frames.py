"""The frames that an export runs on: to verify each step, and to see which channels never vary."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from cgnet_deploy.data.dataset import Dataset, fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

log = logging.getLogger(__name__)

VERIFY_PIXELS = 4 * 360 * 480  # what is compared at least: 4 frames of 360x480, one of 1024x2048
MAX_VERIFIED = 4


def frames_to_verify(data: str | Path | None, split: str, batch: int, res: Res) -> list[U8]:
    """Batches (N, H, W, 3) u8 BGR: of `split` of a data set, or drawn street scenes where `data` is None."""
    count = min(max(VERIFY_PIXELS // (batch * res.height * res.width), 1), MAX_VERIFIED)
    if data is None:
        log.info("verifying on drawn street scenes; --data verifies on yours")
        dataset = open_dataset(f"scenes:0:{res}", "val")
    else:
        dataset = open_dataset(str(data), split)
    return np.split(_spread(dataset, count * batch, res), count)


def frames_to_watch(data: str, count: int, res: Res) -> tuple[U8, ...]:
    """`count` frames (1, H, W, 3) of the train split: none that the export is then verified on."""
    return tuple(_spread(open_dataset(data, "train"), count, res)[:, None])


def _spread(dataset: Dataset, count: int, res: Res) -> U8:
    """(count, H, W, 3): frames from all over a data set."""
    return np.stack([fit_frame(dataset.frame(i * len(dataset) // count), res) for i in range(count)])
