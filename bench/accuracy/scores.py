"""The accuracy pass: apart from the timing, over the very file that is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.bench.accuracy import agreement
from cgnet_deploy.bench.accuracy.agreement import Agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.evaluation import Labeller, at_truth, compare, fed
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res

Sizes = tuple[int, int, int]  # (N, H, W)


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """Label the first `images` pictures of a data set and compare them with the truth.

    outlines: count boundaries too. keep: a folder for the labels, None to drop them. margins: keep, beside the labels,
    by how much each won. views: label from several scales and mirrored too (see views.py).
    """

    data: str
    split: str
    images: int
    outlines: bool = False
    keep: Path | None = None
    margins: bool = False
    views: bool = False


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The results for one engine; None where not requested. views: the confusion of ms+flip."""

    confusion: Confusion | None = None
    outlines: Outlines | None = None
    agreement: Agreement | None = None
    views: Confusion | None = None


def score(
    engine: Engine,
    shape: Sizes,
    dataset: Dataset,
    options: ScoreOptions,
    done: Callable[[int], None],
    views: Labeller | None = None,
) -> Accuracy:
    """Compare an engine with the truth, feeding it frames of `shape`. Calls `done` with the number of images so far.

    views: labels of ms+flip, from frames as they are stored.

    Raises DataError for a picture or label map that can't be used.
    """
    classes, ignore = len(dataset.table.names), dataset.table.ignore_label
    confusion, outlines, viewed = Confusion.empty(classes), Outlines.empty(classes), Confusion.empty(classes)

    def run(frames: U8) -> Iterable[tuple[U8, F32 | None]]:
        labels, margins = engine.infer(frames), engine.logits(frames) if options.margins else None
        return zip(labels, [None] * len(labels) if margins is None else map(agreement.margin, margins), strict=True)

    batch, *size = shape
    for i, (labels, margin) in fed(run, dataset, Res(*size), batch=batch, images=range(options.images)):
        truth = dataset.labels(i)
        confusion += compare(truth, labels, dataset.table)
        if options.outlines:
            outlines += Outlines.of(truth, at_truth(truth, labels), classes, ignore)
        if views is not None:
            viewed += compare(truth, views(dataset.frame(i)[None])[0], dataset.table)
        if options.keep is not None:
            agreement.keep(options.keep, i, labels, margin)
        done(i + 1)
    return Accuracy(confusion, outlines if options.outlines else None, views=None if views is None else viewed)
