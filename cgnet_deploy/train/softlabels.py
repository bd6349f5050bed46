"""What a teacher sees, as labels that share a pixel out over the classes.

It labels every picture once, whole, before training; a crop then shows what it saw in its place. Its scores are an
eighth as fine as its input, so log-probabilities are kept at that size and interpolated, as the network interpolates
its own. Every eighth pixel of each row and column of a crop is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cgnet_deploy.pixels import F32
from cgnet_deploy.spec import Res
from cgnet_deploy.train.augment import View

STRIDE, FIRST = 8, 4


def subsampled(logits: Tensor) -> Tensor:
    """(n, K, h, w) -> (n, K, h', w'): the pixels that `SoftLabels.seen` answers for."""
    return logits[:, :, FIRST::STRIDE, FIRST::STRIDE]


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """maps: (N, K, h, w) f16, log-probabilities of each of N whole pictures, softened by the temperature."""

    maps: npt.NDArray[np.float16]

    def seen(self, i: int, view: View, crop: Res) -> F32:
        """(K, h', w') f32 probabilities at the pixels of `subsampled` in one crop of picture i; 0 in its padding."""
        picture = self.maps[i].astype(np.float32)
        rows = _interpolation(crop.height, view.height, view.top, picture.shape[1], False)
        columns = _interpolation(crop.width, view.width, view.left, picture.shape[2], view.mirrored)
        scores = rows @ picture @ columns.T
        probabilities = np.exp(scores - scores.max(0))
        probabilities /= probabilities.sum(0)
        inside = np.outer(rows.sum(1) > 0, columns.sum(1) > 0)
        return np.asarray(probabilities * inside, np.float32)


def _interpolation(crop: int, resized: int, start: int, cells: int, mirrored: bool) -> F32:
    """(pixels, cells) f32: row j interpolates pixel FIRST + STRIDE j of a crop from `cells`; it is 0 in padding."""
    shown = min(crop, resized - start)  # the rest is padding, at the right
    pixels = np.arange(FIRST, crop, STRIDE)
    inside = pixels < shown
    places = start + np.where(mirrored, shown - 1 - pixels, pixels) + 0.5
    at = np.clip(places * cells / resized - 0.5, 0, cells - 1)
    # A cell's weight falls linearly from 1 at its centre to 0 at the centres of its neighbours.
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))
    return np.asarray(weights * inside[:, None], np.float32)
