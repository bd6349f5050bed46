"""Class weights from label counts: w = 1 / ln(c + p), p = pixels of the class / pixels of all classes.

Ignored pixels count nowhere. (The official script once drew its histogram's range from each label image, so
that void was counted as the last class; retrained networks lost about ten points to the weights it gave.)
"""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.errors import DataError, UsageError
from cgnet_deploy.progress import track
from cgnet_deploy.train.recipe import ByFrequency

log = logging.getLogger(__name__)


def class_counts(dataset: Dataset) -> npt.NDArray[np.int64]:
    """(K,) pixels of each class over the split. Raises DataError for a label map that can't be used."""
    counts = np.zeros(256, np.int64)
    for i in track(range(len(dataset)), len(dataset), "counting labels"):
        counts += np.bincount(dataset.labels(i).ravel(), minlength=256)
    counts[dataset.table.ignore_label] = 0
    return counts[: len(dataset.table.names)]


def class_weights(rule: ByFrequency | tuple[float, ...] | None, dataset: Dataset) -> npt.NDArray[np.float32]:
    """(K,) f32. Raises DataError if nothing is labelled, UsageError for a list of another length."""
    classes = len(dataset.table.names)
    if rule is None:
        return np.ones(classes, np.float32)
    if isinstance(rule, ByFrequency):
        counts = class_counts(dataset)
        if not counts.any():
            raise DataError(f"{dataset.name} has no labelled pixel: class weights can't be computed")
        if absent := [name for name, count in zip(dataset.table.names, counts, strict=True) if not count]:
            log.warning(f"{dataset.name}: no pixel to learn {', '.join(absent)} from")
        return np.asarray(1 / np.log(rule.c + counts / counts.sum()), np.float32)
    if len(rule) != classes:
        raise UsageError(f"the recipe lists {len(rule)} class weights, {dataset.name} has {classes} classes")
    return np.asarray(rule, np.float32)
