"""Engines open for a race or the final: each in a process of its own, by the bench's own clock, rounds and scoring.

Before an engine is timed, its labels of the frames that all are timed on are compared with PyTorch's: a file that is
wrong on this machine's runtime is never a winner, however fast.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from cgnet_deploy.bench.accuracy.passes import accuracy_of
from cgnet_deploy.bench.accuracy.scores import Accuracy
from cgnet_deploy.bench.machine.readings import Machine
from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.rounds import Loaded, StartProcess, TimedRound, first_inference, load, take_round
from cgnet_deploy.bench.measure.run import record_of
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.engines.request import NO_HINTS, Hints
from cgnet_deploy.errors import AccuracyError, CgnetError
from cgnet_deploy.export.verify import LIMITS
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision
from cgnet_deploy.stats import LatencyMs
from cgnet_deploy.tuning.candidates import CHECKPOINT
from cgnet_deploy.tuning.trial import Trial

log = logging.getLogger(__name__)

STALL_S = 120.0  # to load, compile and time: ten times what the slowest runtime takes for this network


def engine_process(name: str, threads: int) -> EngineProcess:
    """That of an engine, which is waited for less long than cgnet-bench waits."""
    return EngineProcess(name, threads, stall_s=STALL_S)


@dataclass(frozen=True, slots=True)
class TimingSetup:
    """What all engines of a run are timed on, and how. settings: of the bench; its `engines` are not used.

    frames: a .npy file. files: the folder of the exported files. labels: (N, H, W) u8 of the frames, by PyTorch; None
    while that itself is asked for.
    """

    settings: Settings
    frames: Path
    files: Path
    labels: U8 | None = None
    machine: Machine = field(default_factory=Machine)
    start: StartProcess = engine_process

    def ref(self, trial: Trial) -> str:
        """As `open_engine` takes it."""
        return f"{trial.candidate.backend}:{self.files / trial.candidate.variant.name}"


@dataclass(slots=True)
class PooledEngine:
    """An engine at work. first_ns: its very first inference."""

    engine: Loaded
    stack: ExitStack
    first_ns: int
    rounds: list[TimedRound]


class EnginePool:
    """A context manager; it is a `Pool` of race.py. On leaving, every process has ended."""

    def __init__(self, setup: TimingSetup) -> None:
        self.setup = setup
        self.engines: dict[str, PooledEngine] = {}

    def add(self, trial: Trial) -> None:
        variant = trial.candidate.variant
        wanted = LIMITS[Precision.INT8 if variant.precision is Precision.INT8 else Precision.F16]
        hints = self.setup.settings.hints if variant.target == CHECKPOINT else NO_HINTS  # an exported file needs none
        self.open(trial.name, self.setup.ref(trial), trial.candidate.threads, wanted.agreement, hints)

    def open(self, name: str, ref: str, threads: int, least_agreement: float, hints: Hints = NO_HINTS) -> None:
        """Load the engine `ref`. Raises AccuracyError if fewer of its labels are PyTorch's.

        hints: of a file that doesn't say it, or of a checkpoint.
        """
        setup = self.setup
        settings = replace(setup.settings, threads=threads, hints=hints)
        with ExitStack() as stack:
            engine = load(stack, settings, ref, setup.machine, setup.start)
            first_ns = first_inference(engine, setup.frames)
            if setup.labels is not None:
                check_labels(self._labels(engine), setup.labels, least_agreement)
            self.engines[name] = PooledEngine(engine, stack.pop_all(), first_ns, [])

    def labels(self, name: str) -> U8:
        """(N, H, W) u8 of the frames."""
        return self._labels(self.engines[name].engine)

    def _labels(self, engine: Loaded) -> U8:
        return engine.process.ask(np.ndarray, "labels", str(self.setup.frames))

    def time(self, name: str) -> float:
        one, settings = self.engines[name], self.setup.settings
        first = not one.rounds
        one.rounds.append(take_round(one.engine, settings, settings.boundaries[0], self.setup.frames, first))
        return LatencyMs.of(one.rounds[-1].round.samples_ns).p50

    def score(self, name: str, images: int) -> Confusion:
        """Of the first `images` of the data set."""
        settings = self.setup.settings
        scored = accuracy_of(self.engines[name].engine, str(settings.data), settings, images).confusion
        if scored is None:
            raise CgnetError(f"{name}: its process gave no scores")
        return scored

    def record(self, name: str, confusion: Confusion | None) -> Record:
        """What was timed, as the bench's row. confusion: of an earlier scoring."""
        one, settings = self.engines[name], self.setup.settings
        images = 0 if confusion is None else settings.limit or 0
        return record_of(
            one.engine, settings.boundaries[0], one.first_ns, one.rounds, images, Accuracy(confusion=confusion)
        )

    def remove(self, name: str) -> None:
        if (one := self.engines.pop(name, None)) is not None:
            one.stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self.engines.values():
            if kind is not None:
                one.engine.process.process.kill()
        for name in tuple(self.engines):
            self.remove(name)


def check_labels(labels: U8, wanted: U8, least: float) -> None:
    """Raise AccuracyError if less than `least` (0 to 1) of the pixels have the label wanted."""
    equal = float(np.mean(labels == wanted)) if labels.shape == wanted.shape else 0.0
    if equal < least:
        raise AccuracyError(f"wrong labels: {equal:.2%} of the pixels have PyTorch's label, {least:.0%} were wanted")
