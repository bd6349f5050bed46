"""The accuracy pass of every engine, asked of its process, and how the engines agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cgnet_deploy.bench.accuracy.agreement import Agreement, agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.measure.rounds import Loaded
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.measure.wire import Score, Scored
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.progress import track


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the accuracy pass tells of one engine. views: the confusion of ms+flip."""

    confusion: Confusion | None = None
    outlines: Outlines | None = None
    agreement: Agreement | None = None
    views: Confusion | None = None


def score_all(engines: list[Loaded], settings: Settings, images: int, kept: list[Path], keep: bool) -> list[Accuracy]:
    """The accuracy pass of every engine, and how the others agree with the first.

    kept: a folder for each engine's labels, used if `keep`.
    """
    scores = []
    for engine, labels in zip(engines, kept, strict=True):
        labels.mkdir()
        scored = score(engine, settings, images, labels if keep else None, margins=labels is kept[0])
        agreed = agreement(labels, kept[0], images) if labels is not kept[0] else None
        scores.append(replace(scored, agreement=agreed))
    return scores


def score(engine: Loaded, settings: Settings, images: int, keep: Path | None, margins: bool) -> Accuracy:
    """The accuracy pass of one engine, its progress shown."""
    assert settings.data is not None
    folder = None if keep is None else str(keep)
    asked = Score(
        settings.data, settings.split, images, settings.outlines, folder, margins and keep is not None, settings.views
    )
    replies = engine.process.follow(asked, Scored)
    for _ in track(islice(replies, images), images, f"mIoU of {engine.name}"):
        pass
    scored = next(replies)
    assert isinstance(scored, Scored)
    classes = len(engine.info.class_names)
    return Accuracy(
        confusion=Confusion(_counts(scored.confusion, classes)),
        outlines=Outlines(_counts(scored.outlines, classes)) if scored.outlines else None,
        views=Confusion(_counts(scored.views, classes)) if scored.views else None,
    )


def _counts(flat: tuple[int, ...], rows: int) -> npt.NDArray[np.int64]:
    return np.asarray(flat, np.int64).reshape(rows, -1)
