"""A benchmark from beginning to end: one process an engine, rounds in turn, then the accuracy pass.

    open A, open B; for each boundary: A B, A B, A B ...; score A, score B; profile A, profile B

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
import numpy.typing as npt

from cgnet_deploy.bench.agreement import Agreement, agreement
from cgnet_deploy.bench.boundary import Outlines
from cgnet_deploy.bench.conditions import Watched, conditions
from cgnet_deploy.bench.gallery import Gallery, gallery
from cgnet_deploy.bench.latency import Boundary, Round, Warmed
from cgnet_deploy.bench.machine import Machine, Reading, here
from cgnet_deploy.bench.process import EngineProcess
from cgnet_deploy.bench.record import ColdStart, Record
from cgnet_deploy.bench.wire import Begin, Begun, Measure, Measured, Open, Opened, Profile, Profiled, Score, Scored, Warm
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data import Dataset, check_classes, fit_frame, open_dataset
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.errors import UsageError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.terminal import progress, say

T = TypeVar("T")
Show = Callable[[Gallery], None]

ROUNDS = 10  # enough for an interval on a ratio: of 10 turns, 95 % of medians don't reach the outermost
FIRST_STEPS, LATER_STEPS = 10, 2  # of warm-up at least: an engine whose turn comes again has been warm
FIRST_PATIENCE, LATER_PATIENCE = 10, 1
PROFILE_RUNS = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure. res, batch: None for the engines' own. data: None for latency on drawn frames only.

    least_s, least_samples: of each engine at each boundary, all rounds together. limit: images scored at
    most. outlines: score boundaries too. views: score ms+flip too. profile: time layers too. fps: of the boundary
    `paced`.
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
    views: bool = False
    profile: bool = False
    warmup_ms: float = 200.0
    least_s: float = 3.0
    least_samples: int = 100
    contract: str | None = None


@dataclass(slots=True)
class Loaded:
    """An engine at work: how the user named it, its process, what it said of itself, and the machine it runs on.

    device_mib: by how much the GPU's memory in use grew while this engine, and no other, was at work.
    """

    name: str
    process: EngineProcess
    info: Opened
    machine: Machine
    device_mib: float | None = None

    def grew(self, before: Reading, after: Reading) -> None:
        """Count what the GPU's memory in use grew by between two readings."""
        if before.gpu.used_mib is not None and after.gpu.used_mib is not None:
            self.device_mib = (self.device_mib or 0.0) + max(after.gpu.used_mib - before.gpu.used_mib, 0.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """One engine's warm-up and round, and what the machine told while the round ran."""

    warmed: Warmed
    measured: Measured
    watched: Watched


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the accuracy pass tells of one engine. views: the confusion of ms+flip."""

    confusion: Confusion | None = None
    outlines: Outlines | None = None
    agreement: Agreement | None = None
    views: Confusion | None = None


def run(settings: Settings, show: Show | None = None) -> tuple[Record, ...]:
    """Rows by boundary, then by engine, in the order given. Raises whatever an engine's process met.

    show: is given pictures of what was scored, if anything was.
    """
    dataset = open_dataset(settings.data, settings.split) if settings.data else None
    images = min(len(dataset), settings.limit or len(dataset)) if dataset else 0
    with ExitStack() as stack:
        machine = here()
        engines = [load(stack, settings, name, machine) for name in settings.engines]
        res = Res(*common("--res", [(engine.name, Res(*engine.info.res)) for engine in engines]))
        batch = common("--batch", [(engine.name, engine.info.batch) for engine in engines])
        say(f"{res.spelled()}, batch {batch}, {settings.threads} threads")
        if dataset:
            for engine in engines:
                check_classes(dataset, len(engine.info.class_names))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cgnet-bench-")))
        np.save(frames := folder / "frames.npy", first_frames(dataset, res, batch))
        starts = [begin(engine, frames) for engine in engines]
        timed = {boundary: take_turns(engines, settings, boundary, frames) for boundary in settings.boundaries}
        kept = [folder / str(number) for number in range(len(engines))]
        keep = show is not None or len(engines) > 1
        scores = score_all(engines, settings, images, kept, keep) if images else [Accuracy()] * len(engines)
        if dataset and images and show:
            show(gallery(dataset, res, batch, settings.engines, kept, images))
        profiles = [profile(settings, engine.name, res, batch, frames) for engine in engines]
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
            rounds=tuple(Round(turn.measured.samples_ns, turn.measured.window_ns) for turn in turns),
            settled=turns[0].warmed.settled,
            peak_memory_mib=turns[-1].measured.peak_memory_mib,
            class_names=engine.info.class_names,
            images=images,
            confusion=scored.confusion,
            outlines=scored.outlines,
            agreement=scored.agreement,
            file_bytes=engine.info.file_bytes,
            cold=ColdStart(engine.info.libraries_ns, engine.info.load_ns, first_ns),
            device_memory_mib=engine.device_mib,
            conditions=conditions([turn.watched for turn in turns], [turn.measured.window_ns for turn in turns]),
            views=scored.views,
            profile=layers,
        )
        for boundary in settings.boundaries
        for engine, first_ns, turns, scored, layers in zip(
            engines, starts, timed[boundary], scores, profiles, strict=True
        )
    )


def load(stack: ExitStack, settings: Settings, name: str, machine: Machine) -> Loaded:
    """Start the process of an engine and wait until it is open; `stack` ends it."""
    before = machine.read()
    process = stack.enter_context(EngineProcess(name, settings.threads))
    asked = Open(name, settings.res, settings.batch, settings.threads, settings.contract)
    engine = Loaded(name, process, process.ask(asked, Opened), machine)
    engine.grew(before, machine.read())
    return engine


def begin(engine: Loaded, frames: Path) -> int:
    """The first inference of all, in ns."""
    return engine.process.ask(Begin(str(frames)), Begun).first_ns


def profile(settings: Settings, name: str, res: Res, batch: int, frames: Path) -> tuple[Layer, ...] | None:
    """The time of each layer, in a process of its own: an engine that tells it is slower. None if not asked for."""
    if not settings.profile:
        return None
    say(f"layers of {name}")
    with EngineProcess(name, settings.threads) as process:
        process.ask(Open(name, res, batch, settings.threads, settings.contract, profile=True), Opened)
        told = process.ask(Profile(str(frames), PROFILE_RUNS), Profiled)
    return tuple(map(Layer, told.names, told.kinds, told.mean_ns))


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


def take_turns(engines: list[Loaded], settings: Settings, boundary: Boundary, frames: Path) -> list[tuple[Turn, ...]]:
    """Time each engine at one boundary, in turns: A B, A B, ..."""
    turns = []
    for turn in range(ROUNDS):
        say(f"{boundary}: round {turn + 1} of {ROUNDS}")
        turns.append([take_turn(engine, settings, boundary, frames, turn == 0) for engine in engines])
    return list(zip(*turns, strict=True))


def take_turn(engine: Loaded, settings: Settings, boundary: Boundary, frames: Path, first: bool) -> Turn:
    """One turn of one engine: warm-up, patient in the first turn, then samples."""
    fps = settings.fps if boundary == "paced" else None
    steps, patience = (FIRST_STEPS, FIRST_PATIENCE) if first else (LATER_STEPS, LATER_PATIENCE)
    machine, during = engine.machine, list[Reading]()
    idle = machine.read()
    warmed = engine.process.ask(Warm(boundary, fps, str(frames), settings.warmup_ms, steps, patience), Warmed)
    measure = Measure(settings.least_s / ROUNDS, -(-settings.least_samples // ROUNDS))
    expected_s = measure.least_s + measure.least_samples * max(warmed.step_ns / 1e9, 1 / fps if fps else 0)
    before = machine.read()
    engine.grew(idle, before)
    measured = engine.process.ask(
        measure, Measured, extra_s=10 * expected_s, watch=lambda: during.append(machine.read())
    )
    return Turn(warmed, measured, Watched(before, tuple(during), machine.read()))


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
    for _ in progress(islice(replies, images), images, f"mIoU of {engine.name}"):
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
