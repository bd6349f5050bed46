"""How well the outlines of classes match, which mIoU hardly sees: the boundary F-score.

    boundary of class k   its pixels that have a pixel of another class among their 8 neighbours
    precision P_k         share of predicted boundary pixels with a true one at most r away
    recall R_k            share of true boundary pixels with a predicted one at most r away
    F_k                   2 P R / (P + R);  the score is the mean over classes that have a boundary at all

r is 0.75 % of the picture's diagonal, rounded to pixels (Csurka et al., BMVC 2013): 5 at 360x480, 17 at 1024x2048.
Ignored pixels, and what touches them, count neither for nor against. As with mIoU, pixels are counted over the
data set before anything is divided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.pixels import U8

REACH = 0.0075
NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """counts: (K, 4) int64: predicted boundary pixels, matched and all; true boundary pixels, matched and all."""

    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Outlines:
        return cls(np.zeros((classes, 4), np.int64))

    @classmethod
    def of(cls, truth: U8, labels: U8, classes: int, ignore_label: int) -> Outlines:
        """Compare two u8 label maps of one shape."""
        away = cv2.dilate((truth == ignore_label).astype(np.uint8), NEIGHBOURS) == 0
        reach_px = max(1, math.floor(REACH * math.hypot(*truth.shape) + 0.5))
        counts = np.zeros((classes, 4), np.int64)
        for k in range(classes):
            true, predicted = (outline(which == k) & away for which in (truth, labels))
            # Only where either has an outline: most classes fill a small part of a picture.
            x, y, width, height = cv2.boundingRect((true | predicted).astype(np.uint8))
            here = np.s_[y : y + height, x : x + width]
            counts[k] = (*_met(predicted[here], true[here], reach_px), *_met(true[here], predicted[here], reach_px))
        return cls(counts)

    def __add__(self, other: Outlines) -> Outlines:
        return Outlines(self.counts + other.counts)

    @property
    def f(self) -> npt.NDArray[np.float64]:
        """(K,) 0 to 1; NaN for a class that has no boundary, neither true nor predicted."""
        met_predicted, predicted, met_true, true = self.counts.T.astype(np.float64)
        # 2PR/(P+R) without its divisions by 0: a class with a boundary on one side only scores 0.
        above, below = 2 * met_predicted * met_true, met_predicted * true + met_true * predicted
        scores = np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
        return np.where(predicted + true > 0, scores, np.nan)

    @property
    def mean_f(self) -> float:
        """0 to 1; NaN if no class has a boundary."""
        return float(np.nanmean(self.f)) if self.counts.any() else math.nan


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask that have a neighbour outside it. The picture's edge is no boundary."""
    # OpenCV's erosion takes what lies beyond the edge for part of the mask.
    inside: npt.NDArray[np.bool_] = cv2.erode(mask.astype(np.uint8), NEIGHBOURS) > 0
    return mask & ~inside


def _met(these: npt.NDArray[np.bool_], those: npt.NDArray[np.bool_], reach_px: int) -> tuple[int, int]:
    """How many of `these` pixels have one of `those` within reach, and how many there are."""
    total = int(these.sum())
    if not total or not those.any():
        return 0, total
    distance = cv2.distanceTransform((~those).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int((distance[these] <= reach_px + 1e-3).sum()), total
