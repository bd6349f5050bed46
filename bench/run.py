"""A benchmark from beginning to end: one process an engine, rounds in turn, then the accuracy pass.

    open A, open B; for each boundary: A B, A B, A B ...; score A, score B

The engines of a run are compared within each turn, so that a machine that slows down slows them all; only
one of them is at work at a time, and all of them see the same frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from cgnet_deploy.bench.agreement import Agreement, agreement
from cgnet_deploy.bench.boundary import Outlines
from cgnet_deploy.bench.gallery import Gallery, gallery
from cgnet_deploy.bench.latency import Boundary, Round, Warmed
from cgnet_deploy.bench.process import EngineProcess
from cgnet_deploy.bench.record import Record
from cgnet_deploy.bench.wire import Measure, Measured, Open, Opened, Score, Scored, Warm
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data import Dataset, check_classes, fit_frame, open_dataset
from cgnet_deploy.errors import UsageError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.terminal import progress, say

T = TypeVar("T")
Show = Callable[[Gallery], None]

ROUNDS = 10  # enough for an interval on a ratio: of 10 turns, 95 % of medians don't reach the outermost
FIRST_STEPS, LATER_STEPS = 10, 2  # of warm-up at least: an engine whose turn comes again has been warm
FIRST_PATIENCE, LATER_PATIENCE = 10, 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure. res, batch: None for the engines' own. data: None for latency on drawn frames only.

    least_s, least_samples: of each engine at each boundary, all rounds together. limit: images scored at
    most. outlines: score boundaries too. fps: of the boundary `paced`.
    """

    engines: tuple[str, ...]
    boundaries: tuple[Boundary, ...]
    threads: int
    res: Res | None = None
    batch: int | None = None
    fps: float | None = None
    data: str | None = None
    split: str = "val"
    limit: int | None = None
    outlines: bool = False
    warmup_ms: float = 200.0
    least_s: float = 3.0
    least_samples: int = 100
    contract: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine at work: how the user named it, its process, and what it said of itself."""

    name: str
    process: EngineProcess
    info: Opened


@dataclass(frozen=True, slots=True)
class Timed:
    """One engine at one boundary. settled: did its first warm-up end in windows that agree?"""

    rounds: tuple[Measured, ...]
    settled: bool


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the accuracy pass tells of one engine."""

    confusion: Confusion | None
    outlines: Outlines | None
    agreement: Agreement | None


NOTHING_SCORED = Accuracy(None, None, None)


def run(settings: Settings, show: Show | None = None) -> tuple[Record, ...]:
    """Rows by boundary, then by engine, in the order given. Raises whatever an engine's process met.

    show: is given pictures of what was scored, if anything was.
    """
    dataset = open_dataset(settings.data, settings.split) if settings.data else None
    images = min(len(dataset), settings.limit or len(dataset)) if dataset else 0
    with ExitStack() as stack:
        engines = [load(stack, settings, name) for name in settings.engines]
        res = Res(*common("--res", [(engine.name, Res(*engine.info.res)) for engine in engines]))
        batch = common("--batch", [(engine.name, engine.info.batch) for engine in engines])
        say(f"{res.spelled()}, batch {batch}, {settings.threads} threads")
        if dataset:
            for engine in engines:
                check_classes(dataset, len(engine.info.class_names))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cgnet-bench-")))
        np.save(frames := folder / "frames.npy", first_frames(dataset, res, batch))
        timed = {boundary: take_turns(engines, settings, boundary, frames) for boundary in settings.boundaries}
        kept = [folder / str(number) for number in range(len(engines))]
        keep = show is not None or len(engines) > 1
        scores = score_all(engines, settings, images, kept, keep) if images else [NOTHING_SCORED] * len(engines)
        if dataset and images and show:
            show(gallery(dataset, res, batch, settings.engines, kept, images))
    return tuple(
        Record(
            engine=engine.name,
            backend=engine.info.backend,
            provider=engine.info.provider,
            precision=Precision(engine.info.precision),
            sha256=engine.info.sha256,
            res=res,
            batch=batch,
            boundary=boundary,
            rounds=tuple(Round(measured.samples_ns, measured.window_ns) for measured in taken.rounds),
            settled=taken.settled,
            peak_memory_mib=taken.rounds[-1].peak_memory_mib,
            class_names=engine.info.class_names,
            images=images,
            confusion=scored.confusion,
            outlines=scored.outlines,
            agreement=scored.agreement,
        )
        for boundary in settings.boundaries
        for engine, taken, scored in zip(engines, timed[boundary], scores, strict=True)
    )


def load(stack: ExitStack, settings: Settings, name: str) -> Loaded:
    """Start the process of an engine and wait until it is open; `stack` ends it."""
    process = stack.enter_context(EngineProcess(name, settings.threads))
    asked = Open(name, settings.res, settings.batch, settings.threads, settings.contract)
    return Loaded(name, process, process.ask(asked, Opened))


def common(flag: str, values: list[tuple[str, T]]) -> T:
    """The value that all engines share. Raises UsageError if they differ: unlike work is not compared."""
    first_name, first = values[0]
    for name, value in values:
        if value != first:
            raise UsageError(f"{first_name} takes {first}, {name} takes {value}: give one {flag} for all")
    return first


def first_frames(dataset: Dataset | None, res: Res, batch: int) -> U8:
    """(batch, H, W, 3) u8 BGR: the first of the data set, or drawn ones; gone through again if there are too few."""
    source = dataset or open_dataset(f"scenes:0:{res}", "val")
    return np.stack([fit_frame(source.frame(i % len(source)), res) for i in range(batch)])


def take_turns(engines: list[Loaded], settings: Settings, boundary: Boundary, frames: Path) -> list[Timed]:
    """Time each engine at one boundary, in turns: A B, A B, ..."""
    turns = []
    for turn in range(ROUNDS):
        say(f"{boundary}: round {turn + 1} of {ROUNDS}")
        turns.append([take_turn(engine, settings, boundary, frames, turn == 0) for engine in engines])
    return [Timed(tuple(measured for _, measured in taken), taken[0][0].settled) for taken in zip(*turns, strict=True)]


def take_turn(
    engine: Loaded, settings: Settings, boundary: Boundary, frames: Path, first: bool
) -> tuple[Warmed, Measured]:
    """One turn of one engine: warm-up, patient in the first turn, then samples."""
    fps = settings.fps if boundary == "paced" else None
    steps, patience = (FIRST_STEPS, FIRST_PATIENCE) if first else (LATER_STEPS, LATER_PATIENCE)
    warmed = engine.process.ask(Warm(boundary, fps, str(frames), settings.warmup_ms, steps, patience), Warmed)
    measure = Measure(settings.least_s / ROUNDS, -(-settings.least_samples // ROUNDS))
    expected_s = measure.least_s + measure.least_samples * max(warmed.step_ns / 1e9, 1 / fps if fps else 0)
    return warmed, engine.process.ask(measure, Measured, extra_s=10 * expected_s)


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
    asked = Score(settings.data, settings.split, images, settings.outlines, folder, margins and keep is not None)
    replies = engine.process.follow(asked, Scored)
    for _ in progress(islice(replies, images), images, f"mIoU of {engine.name}"):
        pass
    scored = next(replies)
    assert isinstance(scored, Scored)
    classes = len(engine.info.class_names)
    confusion = Confusion(np.asarray(scored.confusion, np.int64).reshape(classes, classes))
    outlines = scored.outlines and Outlines(np.asarray(scored.outlines, np.int64).reshape(classes, 4))
    return Accuracy(confusion, outlines or None, None)
