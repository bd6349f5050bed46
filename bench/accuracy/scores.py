"""The accuracy pass: apart from the timing, over the very file that is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cgnet_deploy.bench.accuracy import agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.measure.wire import Score, Scored
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.evaluation import Labeller, at_truth, compare, fed
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res

Sizes = tuple[int, int, int]  # (N, H, W)


def score(
    engine: Engine,
    shape: Sizes,
    dataset: Dataset,
    request: Score,
    done: Callable[[int], None],
    views: Labeller | None = None,
) -> Scored:
    """Compare an engine with the truth, feeding it frames of `shape`. Calls `done` with the number of images so far.

    views: labels of ms+flip, from frames as they are stored.

    Raises DataError for a picture or label map that can't be used.
    """
    classes, ignore = len(dataset.table.names), dataset.table.ignore_label
    confusion, outlines, viewed = Confusion.empty(classes), Outlines.empty(classes), Confusion.empty(classes)

    def run(frames: U8) -> Iterable[tuple[U8, F32 | None]]:
        labels, margins = engine.infer(frames), engine.logits(frames) if request.margins else None
        return zip(labels, [None] * len(labels) if margins is None else map(agreement.margin, margins), strict=True)

    batch, *size = shape
    for i, (labels, margin) in fed(run, dataset, Res(*size), batch=batch, images=range(request.images)):
        truth = dataset.labels(i)
        confusion += compare(truth, labels, dataset.table)
        if request.outlines:
            outlines += Outlines.of(truth, at_truth(truth, labels), classes, ignore)
        if views is not None:
            viewed += compare(truth, views(dataset.frame(i)[None])[0], dataset.table)
        if request.keep is not None:
            agreement.keep(Path(request.keep), i, labels, margin)
        done(i + 1)
    return Scored(
        _flat(confusion.counts),
        _flat(outlines.counts) if request.outlines else None,
        None if views is None else _flat(viewed.counts),
    )


def _flat(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(counts.ravel().tolist())
