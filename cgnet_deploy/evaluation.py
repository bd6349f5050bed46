"""The one measure of accuracy, of the trainer, the benchmark, the export guard and the doctor.

    frames   resized (linear) to the size that the labeller runs at, in batches; the last batch is filled up
    labels   resized (nearest neighbour) to the truth's own size and counted there

So every resolution is judged on the same pixels, as in mmsegmentation and the official evaluation.

mIoU (ms+flip), as papers print it beside mIoU, labels every image from twelve views of it: `many_views`. It is a
figure of accuracy only: twelve inferences an image are nobody's latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset, fit_frame, fit_labels
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.progress import track
from cgnet_deploy.spec import Res

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of mmsegmentation's ms+flip

Labeller = Callable[[U8], U8]  # (N, H, W, 3) u8 BGR -> (N, h, w) u8 labels
T = TypeVar("T")


def confusion_of(
    label: Labeller, dataset: Dataset, res: Res | None, *, batch: int = 1, images: Sequence[int] | None = None
) -> Confusion:
    """Compare the labels of `images` (default: all) with the truth.

    Raises DataError for a picture or a label map that can't be used, and for labels that are no class of the data set.
    """
    numbers = range(len(dataset)) if images is None else images
    total = Confusion.empty(len(dataset.table.names))
    each = confusions(label, dataset, res, batch=batch, images=numbers)
    for confusion in track(each, len(numbers), f"evaluating on {dataset.name}"):
        total += confusion
    return total


def confusions(
    label: Labeller, dataset: Dataset, res: Res | None, *, batch: int = 1, images: Sequence[int]
) -> Iterator[Confusion]:
    """That of each image by itself, in their order."""
    for i, labels in fed(label, dataset, res, batch=batch, images=images):
        yield compare(dataset.labels(i), labels, dataset.table)


def fed(
    run: Callable[[U8], Iterable[T]], dataset: Dataset, res: Res | None, *, batch: int, images: Sequence[int]
) -> Iterator[tuple[int, T]]:
    """The number of each image, and what `run` gives for its frame. res: None feeds frames as they are stored."""
    for first in range(0, len(images), batch):
        numbers = images[first : first + batch]
        frames = [dataset.frame(i) if res is None else fit_frame(dataset.frame(i), res) for i in numbers]
        frames += [frames[-1]] * (batch - len(frames))  # an engine of a fixed batch takes no less
        yield from zip(numbers, run(np.stack(frames)), strict=False)


def compare(truth: U8, labels: U8, table: ClassTable) -> Confusion:
    """(H, W) u8 truth against (h, w) u8 labels, at the size of the truth."""
    return Confusion.of(truth, at_truth(truth, labels), len(table.names), table.ignore_label)


def at_truth(truth: U8, labels: U8) -> U8:
    """(h, w) u8 labels, resized to the size of the truth."""
    return fit_labels(labels, Res(*truth.shape))


def many_views(probabilities: Callable[[U8], F32], res: Res) -> Labeller:
    """Labels from the mean of `probabilities` over SCALES, each view as it is and mirrored.

    probabilities: (1, h, w, 3) u8 BGR at one of the `scaled` sizes -> (K, H, W) f32 at `res`: logits, resized (linear),
    then softmax. The labeller takes frames as they are stored, so that no view is resized twice.
    """

    def label(frames: U8) -> U8:
        return np.stack([_label(frame) for frame in frames])

    def _label(frame: U8) -> U8:
        total: F32 | float = 0.0
        for scale in SCALES:
            view = fit_frame(frame, scaled(res, scale))[None]
            total = total + probabilities(view) + probabilities(np.ascontiguousarray(view[:, :, ::-1]))[..., ::-1]
        return np.asarray(np.argmax(total, axis=0), np.uint8)

    return label


def scaled(res: Res, scale: float) -> Res:
    return Res(round(res.height * scale), round(res.width * scale))
