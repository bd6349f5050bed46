"""The confusion matrix and what is derived from it.

    counts[t, p]   pixels of truth t that were labelled p; pixels of the ignore label are left out
    IoU_k          counts[k, k] / (row sum k + column sum k - counts[k, k])
    mIoU           the mean of IoU over the classes that occur in truth or prediction

A class that occurs but is never hit counts as 0; only a class that occurs nowhere has no IoU. The matrices
of all images are added up before anything is divided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cgnet_deploy.errors import DataError

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """How often each class was taken for which; matrices of parts of a data set can be added.

    counts: (K, K) int64, row = truth, column = prediction.
    """

    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Confusion:
        """Of nothing yet: what others are added to."""
        return cls(np.zeros((classes, classes), np.int64))

    @classmethod
    def of(cls, truth: Labels, labels: Labels, classes: int, ignore_label: int) -> Confusion:
        """Compare two u8 label maps of one shape.

        Raises DataError if shapes differ, a truth label is neither a class nor the ignore label, or a
        predicted label is no class (on ignored pixels too: it shows a network of another class count).
        """
        if truth.shape != labels.shape:
            raise DataError(f"truth of shape {truth.shape} against labels of shape {labels.shape}")
        # All 256 values of a u8 are counted, so that a stray label is seen before any is left out.
        pairs = truth.astype(np.uint16) << 8 | labels
        table = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        strays = [int(t) for t in np.flatnonzero(table.sum(1)) if t >= classes and t != ignore_label]
        if strays:
            raise DataError(
                f"truth holds label {strays[0]}; wanted 0 to {classes - 1}, or {ignore_label} for ignored pixels"
            )
        if table[:, classes:].any():
            stray = classes + int(np.flatnonzero(table[:, classes:].sum(0))[-1])
            raise DataError(f"the prediction holds label {stray}; wanted 0 to {classes - 1}")
        table[ignore_label] = 0
        return cls(np.ascontiguousarray(table[:classes, :classes], np.int64))

    def __add__(self, other: Confusion) -> Confusion:
        if self.counts.shape != other.counts.shape:
            raise DataError(f"confusions of {len(self.counts)} and {len(other.counts)} classes can't be merged")
        return Confusion(self.counts + other.counts)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """(K,) 0 to 1, NaN for a class that occurs neither in truth nor in prediction."""
        hits = np.diagonal(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        iou: npt.NDArray[np.float64] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
        return iou

    @property
    def miou(self) -> float:
        """0 to 1; NaN if nothing was counted."""
        iou = self.iou
        return float(np.nanmean(iou)) if self.counts.any() else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """The share of counted pixels that is right, 0 to 1; NaN if nothing was counted."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")
