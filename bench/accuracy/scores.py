"""How right an engine is: a pass of its own over the file that is timed, never mixed with the timing.

Frames are fitted to the engine's size (linear); its labels are brought to the size of the truth (nearest
neighbour) and compared there, so that every resolution is judged on the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.bench.accuracy import agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.measure.wire import Score, Scored
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, fit_frame
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res

Sizes = tuple[int, int, int]  # (N, H, W)


def score(
    engine: Engine,
    shape: Sizes,
    dataset: Dataset,
    asked: Score,
    done: Callable[[int], None],
    views: Callable[[U8], U8] | None = None,
) -> Scored:
    """Compare an engine with the truth, feeding it frames of `shape`. `done` hears how many images are, after each.

    views: another way to a frame's labels, which is compared with the truth too.

    Raises DataError for a picture or label map that can't be used.
    """
    classes, ignore = len(dataset.table.names), dataset.table.ignore_label
    confusion, outlines, viewed = Confusion.empty(classes), Outlines.empty(classes), Confusion.empty(classes)
    for i, labels, margin in labelled(engine, shape, dataset, asked.images, asked.margins):
        truth = dataset.labels(i)
        enlarged = enlarge(labels, truth.shape)
        confusion += Confusion.of(truth, enlarged, classes, ignore)
        if asked.outlines:
            outlines += Outlines.of(truth, enlarged, classes, ignore)
        if views is not None:
            viewed += Confusion.of(truth, enlarge(views(dataset.frame(i)), truth.shape), classes, ignore)
        if asked.keep is not None:
            agreement.keep(Path(asked.keep), i, labels, margin)
        done(i + 1)
    return Scored(
        _flat(confusion.counts),
        _flat(outlines.counts) if asked.outlines else None,
        None if views is None else _flat(viewed.counts),
    )


def labelled(
    engine: Engine, shape: Sizes, dataset: Dataset, images: int, margins: bool
) -> Iterator[tuple[int, U8, F32 | None]]:
    """For each of the first `images`: its number, (h, w) u8 labels, and (h, w) f32 margins if the engine has them."""
    batch, height, width = shape
    for first in range(0, images, batch):
        numbers = range(first, min(first + batch, images))
        frames = [fit_frame(dataset.frame(i), Res(height, width)) for i in numbers]
        frames += [frames[-1]] * (batch - len(frames))  # an engine of a fixed batch takes no less
        labels = engine.infer(np.stack(frames))
        logits = engine.logits(np.stack(frames)) if margins else None
        for at, i in enumerate(numbers):
            yield i, labels[at], None if logits is None else agreement.margin(logits[at])


def enlarge(labels: U8, shape: tuple[int, ...]) -> U8:
    """(h, w) u8 labels -> (H, W) u8, nearest neighbour at pixel centres."""
    if labels.shape == shape:
        return labels
    height, width = shape
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _flat(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(counts.ravel().tolist())
