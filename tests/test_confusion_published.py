"""The confusion matrix and what is derived from it against published implementations, on random labels.

torchmetrics is a development dependency. The script by which Cityscapes scores its submissions is compared where it is
installed, which asks for more than a test should (one of its dependencies replaces a module of Python's own):

    pip install --no-deps --target FOLDER cityscapesScripts pyquaternion
    PYTHONPATH=FOLDER python -m pytest tests/test_confusion_published.py
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.pixels import U8

IGNORE = 255


def drawn(seed: int, classes: int, absent: tuple[int, ...]) -> tuple[U8, U8]:
    """(4, 30, 40) truth and prediction: a third of it right, a tenth ignored, some classes in neither."""
    rng = np.random.default_rng(seed)
    there = [k for k in range(classes) if k not in absent]
    truth, labels = rng.choice(there, (2, 4, 30, 40)).astype(np.uint8)
    labels = np.where(rng.random(truth.shape) < 1 / 3, truth, labels)
    if seed % 2:  # a class that is predicted and never true, and one that is true and never predicted
        truth[truth == there[0]] = there[1]
        labels[labels == there[2]] = there[3]
    truth[rng.random(truth.shape) < 0.1] = IGNORE
    return truth, labels


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_torchmetrics(seed: int) -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    classes = (7, 11, 19)[seed % 3]
    truth, labels = drawn(seed, classes, absent=() if seed < 2 else (1, classes - 1))
    ours = sum(
        (Confusion.of(t, p, classes, IGNORE) for t, p in zip(truth, labels, strict=True)), Confusion.empty(classes)
    )

    options = {"num_classes": classes, "ignore_index": IGNORE}
    metrics = torchmetrics.classification
    pair = torch.from_numpy(labels).long(), torch.from_numpy(truth).long()
    counts = metrics.MulticlassConfusionMatrix(**options)(*pair).numpy()
    assert np.array_equal(ours.counts, counts)
    accuracy = metrics.MulticlassAccuracy(average="micro", **options)(*pair)
    assert ours.pixel_accuracy == pytest.approx(float(accuracy), rel=1e-6)
    miou = metrics.MulticlassJaccardIndex(average="macro", **options)(*pair)
    assert ours.miou == pytest.approx(float(miou), rel=1e-6)
    iou = metrics.MulticlassJaccardIndex(average="none", **options)(*pair).numpy()
    occurs = (counts.sum(0) + counts.sum(1)) > 0
    assert np.array_equal(np.isnan(ours.iou), ~occurs)
    assert ours.iou[occurs] == pytest.approx(iou[occurs], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_the_script_of_cityscapes(seed: int, tmp_path: Path) -> None:
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    table = pytest.importorskip("cityscapesscripts.helpers.labels")

    truth, labels = drawn(seed, 19, absent=(4, 18))
    ours = sum((Confusion.of(t, p, 19, IGNORE) for t, p in zip(truth, labels, strict=True)), Confusion.empty(19))

    # It works on files of label ids, of which 19 are classes and the others are ignored.
    ids = np.zeros(256, np.uint8)
    ids[:19] = [table.trainId2label[k].id for k in range(19)]
    ids[IGNORE] = next(label.id for label in table.id2label.values() if label.ignoreInEval and label.id >= 0)
    args = SimpleNamespace(evalInstLevelScore=False, evalPixelAccuracy=False)
    counts = script.generateMatrix(args)
    for i, (t, p) in enumerate(zip(truth, labels, strict=True)):
        paths = [str(tmp_path / f"{i}.{name}.png") for name in ("labels", "truth")]
        for path, picture in zip(paths, (ids[p], ids[t]), strict=True):
            cv2.imwrite(path, picture)
        script.evaluatePair(*paths, counts, {}, {}, args)
    iou = {k: script.getIouScoreForLabel(int(ids[k]), counts, args) for k in range(19)}
    assert all(math.isnan(iou[k]) == math.isnan(ours.iou[k]) for k in range(19))
    assert ours.iou[~np.isnan(ours.iou)] == pytest.approx([v for v in iou.values() if not math.isnan(v)], rel=1e-12)
    assert ours.miou == pytest.approx(script.getScoreAverage(iou, args), rel=1e-12)
