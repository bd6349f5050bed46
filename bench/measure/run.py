"""A benchmark from beginning to end: one process an engine, rounds in turn, then the accuracy pass.

    open A, open B; for each boundary: A B, A B, A B ...; score A, score B; profile A, profile B

The engines of a run are compared within each round, so that a machine that slows down slows them all; only
one of them is at work at a time, and all of them see the same frames.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import numpy as np

from cgnet_deploy.bench.accuracy.gallery import Gallery, gallery
from cgnet_deploy.bench.accuracy.passes import score_all
from cgnet_deploy.bench.accuracy.scores import Accuracy
from cgnet_deploy.bench.machine.conditions import conditions
from cgnet_deploy.bench.machine.readings import here
from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.rounds import (
    Loaded,
    StartProcess,
    TimedRound,
    first_inference,
    layers_of,
    load,
    take_rounds,
)
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.report.record import ColdStart, Record
from cgnet_deploy.data.dataset import Dataset, check_classes, fit_frame, scored_images
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.errors import UsageError
from cgnet_deploy.files import scratch
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

log = logging.getLogger(__name__)


T = TypeVar("T")
Show = Callable[[Gallery], None]


def run(settings: Settings, show: Show | None = None, start: StartProcess = EngineProcess) -> tuple[Record, ...]:
    """Rows by boundary, then by engine, in the order of `settings`. Raises whatever an engine's process met.

    show: called with pictures of what was scored, if anything was. start: starts the process of an engine.
    """
    dataset = open_dataset(settings.data, settings.split) if settings.data else None
    images = min(len(dataset), settings.limit or len(dataset)) if dataset else 0
    with ExitStack() as stack:
        machine = here()
        engines = [load(stack, settings, name, machine, start) for name in settings.engines]
        res = common("--res", [(engine.name, engine.info.res) for engine in engines])
        batch = common("--batch", [(engine.name, engine.info.batch) for engine in engines])
        log.info(f"{res.spelled()}, batch {batch}, {settings.threads} threads")
        if dataset:
            for engine in engines:
                check_classes(dataset, len(engine.info.class_names))
            scored_images(dataset, range(images))  # now, and not after all rounds
        folder = stack.enter_context(scratch("bench"))
        save(frames := folder / "frames.npy", first_frames(dataset, res, batch))
        starts = [first_inference(engine, frames) for engine in engines]
        timings = {boundary: take_rounds(engines, settings, boundary, frames) for boundary in settings.boundaries}
        kept = [folder / str(number) for number in range(len(engines))]
        keep = show is not None or len(engines) > 1
        scores = [Accuracy()] * len(engines)
        if images and settings.data:
            scores = score_all(engines, settings.data, settings, images, kept, keep)
        if dataset and images and show:
            show(gallery(dataset, res, batch, settings.engines, kept, images))
        profiles = [layers_of(engine, settings, res, batch, frames) for engine in engines]
    return tuple(
        record_of(engine, boundary, first_ns, rounds, images, scored, layers)
        for boundary in settings.boundaries
        for engine, first_ns, rounds, scored, layers in zip(
            engines, starts, timings[boundary], scores, profiles, strict=True
        )
    )


def record_of(
    engine: Loaded,
    boundary: Boundary,
    first_ns: int,
    rounds: Sequence[TimedRound],
    images: int,
    scored: Accuracy,
    layers: tuple[Layer, ...] | None = None,
) -> Record:
    """One row, of what was measured of an engine."""
    info = engine.info
    return Record(
        engine=engine.name,
        backend=info.backend,
        provider=info.provider,
        precision=info.precision,
        sha256=info.sha256,
        res=info.res,
        batch=info.batch,
        boundary=boundary,
        rounds=tuple(timed.round for timed in rounds),
        settled=rounds[0].warmed.settled,
        peak_memory_mib=rounds[-1].peak_memory_mib,
        class_names=info.class_names,
        images=images,
        confusion=scored.confusion,
        outlines=scored.outlines,
        agreement=scored.agreement,
        file_bytes=info.file_bytes,
        cold=ColdStart(info.libraries_ns, info.load_ns, first_ns),
        device_memory_mib=engine.device_mib,
        conditions=conditions([timed.watched for timed in rounds], [timed.round.window_ns for timed in rounds]),
        views=scored.views,
        profile=layers,
        assumed=info.assumed,
    )


def common(flag: str, values: list[tuple[str, T]]) -> T:
    """The value that all engines share. Raises UsageError if they differ: unlike work is not compared."""
    first_name, first = values[0]
    for name, value in values:
        if value != first:
            raise UsageError(f"{first_name} takes {first}, {name} takes {value}: give one {flag} for all")
    return first


def save(path: Path, frames: U8) -> None:
    """As .npy; by np.save alone, a full disk is an error without a number."""
    np.save(content := io.BytesIO(), frames)
    path.write_bytes(content.getbuffer())


def first_frames(dataset: Dataset | None, res: Res, batch: int) -> U8:
    """(batch, H, W, 3) u8 BGR: the first of the data set, or drawn ones; gone through again if there are too few."""
    source = dataset or open_dataset(f"scenes:0:{res}", "val")
    return np.stack([fit_frame(source.frame(i % len(source)), res) for i in range(batch)])
