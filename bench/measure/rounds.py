"""Engines at work: each loaded in a process of its own, timed round by round, and, apart from that, layer by layer.

The machine is read before, during and after every round, by the process that waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.bench.machine.conditions import Watched
from cgnet_deploy.bench.machine.readings import Machine, Reading
from cgnet_deploy.bench.measure.latency import Boundary, Round, Warmed
from cgnet_deploy.bench.measure.opening import Open, Opened
from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.spec import Res

log = logging.getLogger(__name__)


ROUNDS = 10  # enough for an interval on a ratio: of 10 rounds, 95 % of medians don't reach the outermost
FIRST_STEPS, LATER_STEPS = 10, 2  # of warm-up at least: in later rounds an engine has been warm
FIRST_PATIENCE, LATER_PATIENCE = 10, 1
PROFILE_RUNS = 20

StartProcess = Callable[[str, int], EngineProcess]  # by an engine's name and its number of threads


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
class TimedRound:
    """One engine's warm-up and round of samples, and what the machine showed meanwhile."""

    warmed: Warmed
    round: Round
    peak_memory_mib: float
    watched: Watched


def load(
    stack: ExitStack, settings: Settings, name: str, machine: Machine, start: StartProcess = EngineProcess
) -> Loaded:
    """Start the process of an engine and wait until it is open; `stack` ends it."""
    before = machine.read()
    process = stack.enter_context(start(name, settings.threads))
    request = Open(name, settings.res, settings.batch, settings.threads, settings.hints, cache=settings.cache)
    engine = Loaded(name, process, process.ask(Opened, "open", request), machine)
    engine.grew(before, machine.read())
    return engine


def first_inference(engine: Loaded, frames: Path) -> int:
    """The first inference of all, in ns."""
    return engine.process.ask(int, "first", str(frames))


def layers_of(engine: Loaded, settings: Settings, res: Res, batch: int, frames: Path) -> tuple[Layer, ...] | None:
    """The time of each layer, in a process of its own: timing them makes an engine slower. None if not asked for."""
    if not settings.profile:
        return None
    log.info(f"layers of {engine.name}")
    with EngineProcess(engine.name, settings.threads) as process:
        process.ask(Opened, "open", Open(engine.name, res, batch, settings.threads, settings.hints, profile=True))
        return process.ask(tuple, "profile", str(frames), PROFILE_RUNS)


def take_rounds(
    engines: list[Loaded], settings: Settings, boundary: Boundary, frames: Path
) -> list[tuple[TimedRound, ...]]:
    """Time each engine at one boundary, in turn: A B, A B, ..."""
    rounds = []
    for number in range(ROUNDS):
        log.info(f"{boundary}: round {number + 1} of {ROUNDS}")
        rounds.append([take_round(engine, settings, boundary, frames, number == 0) for engine in engines])
    return list(zip(*rounds, strict=True))


def take_round(engine: Loaded, settings: Settings, boundary: Boundary, frames: Path, first: bool) -> TimedRound:
    """One round of one engine: warm-up, patient in the first round, then samples."""
    fps = settings.fps if boundary == "paced" else None
    steps, patience = (FIRST_STEPS, FIRST_PATIENCE) if first else (LATER_STEPS, LATER_PATIENCE)
    machine, during = engine.machine, list[Reading]()
    idle = machine.read()
    warmed = engine.process.ask(Warmed, "warm", boundary, fps, str(frames), settings.warmup_ms, steps, patience)
    least_s, least_samples = settings.least_s / ROUNDS, -(-settings.least_samples // ROUNDS)
    expected_s = least_s + least_samples * max(warmed.step_ns / 1e9, 1 / fps if fps else 0)
    before = machine.read()
    engine.grew(idle, before)
    taken = engine.process.ask(
        Round, "measure", least_s, least_samples, extra_s=10 * expected_s, watch=lambda: during.append(machine.read())
    )
    watched = Watched(before, tuple(during), machine.read())
    return TimedRound(warmed, taken, engine.process.ask(float, "peak_memory_mib"), watched)
