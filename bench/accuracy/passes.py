"""The accuracy passes of a run: each in the process of its engine, and how the engines agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cgnet_deploy.bench.accuracy.agreement import agreement
from cgnet_deploy.bench.accuracy.scores import Accuracy, ScoreOptions
from cgnet_deploy.bench.measure.rounds import Loaded
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.progress import task


def score_all(
    engines: list[Loaded], data: str, settings: Settings, images: int, kept: list[Path], keep: bool
) -> list[Accuracy]:
    """The accuracy pass of every engine, and how the others agree with the first.

    kept: a folder for each engine's labels, used if `keep`.
    """
    scores = []
    for engine, labels in zip(engines, kept, strict=True):
        labels.mkdir()
        scored = accuracy_of(engine, data, settings, images, labels if keep else None, margins=labels is kept[0])
        agreed = agreement(labels, kept[0], images) if labels is not kept[0] else None
        scores.append(replace(scored, agreement=agreed))
    return scores


def accuracy_of(
    engine: Loaded, data: str, settings: Settings, images: int, keep: Path | None = None, margins: bool = False
) -> Accuracy:
    """The accuracy pass of one engine."""
    options = ScoreOptions(
        data, settings.split, images, settings.outlines, keep, margins and keep is not None, settings.views
    )
    answers = engine.process.follow(Accuracy, "score", options)
    with task(f"mIoU of {engine.name}", images) as work:
        for answer in answers:
            if isinstance(answer, Accuracy):
                return answer
            work.update(answer.done)
    raise CgnetError(f"{engine.name}: its process gave no scores")
