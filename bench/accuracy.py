"""How right an engine is: a pass of its own over the file that is timed, never mixed with the timing.

Frames are fitted to the engine's size (linear); its labels are brought to the size of the truth (nearest
neighbour) and compared there, so that every resolution is judged on the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data import Dataset, fit_frame
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res


def score(
    engine: Engine, dataset: Dataset, images: int, res: Res, batch: int, done: Callable[[int], None]
) -> Confusion:
    """The confusion over the first `images` samples. `done` hears how many are, after each batch.

    Raises DataError for a picture or label map that can't be used.
    """
    table = dataset.table
    total = Confusion.empty(len(table.names))
    for first in range(0, images, batch):
        numbers = range(first, min(first + batch, images))
        frames = [fit_frame(dataset.frame(i), res) for i in numbers]
        frames += [frames[-1]] * (batch - len(frames))  # an engine of a fixed batch takes no less
        for i, labels in zip(numbers, engine.infer(np.stack(frames)), strict=False):
            truth = dataset.labels(i)
            total += Confusion.of(truth, enlarge(labels, truth.shape), len(table.names), table.ignore_label)
        done(numbers.stop)
    return total


def enlarge(labels: U8, shape: tuple[int, ...]) -> U8:
    """(h, w) u8 labels -> (H, W) u8, nearest neighbour at pixel centres."""
    if labels.shape == shape:
        return labels
    height, width = shape
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
