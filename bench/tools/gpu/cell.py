"""One size and batch of the matrix: every contender that can run there, in turn, at boundaries device and e2e.

    open all; warm up each at `device`; A B C ..., five rounds; the same at `e2e`; each one's labels against the CPU's

As in cgnet-bench each engine has a process of its own, all see the same frames, and one clock times them; unlike
there, one that can't go on becomes a row with the reason, and the time that is left decides how far it goes.
"""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from cgnet_deploy.bench.accuracy.agreement import agreement
from cgnet_deploy.bench.accuracy.scores import Accuracy, ScoreOptions
from cgnet_deploy.bench.measure.latency import Boundary, Round, Warmed
from cgnet_deploy.bench.measure.opening import Open, Opened
from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.run import first_frames
from cgnet_deploy.bench.tools.gpu.contenders import CONTENDERS, Cell, Contender, file_of, missing
from cgnet_deploy.bench.tools.gpu.ideal import Ideal
from cgnet_deploy.bench.tools.gpu.rows import Result
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.errors import CgnetError, EngineUnavailable, UserError, one_line
from cgnet_deploy.spec import Precision
from cgnet_deploy.stats import LatencyMs
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)


R = TypeVar("R")

ROUNDS = 5
SAMPLES = 20  # a round, at most
ROUND_S = 0.4  # what a round of a slow engine may take: it has fewer samples then
BOUNDARIES: tuple[Boundary, ...] = ("device", "e2e")
SCORED = 2  # images whose labels are compared
THREADS = 4
AFTER_S = 1.0  # of the time, kept for writing the record


@dataclass(slots=True)
class Running:
    """A contender at work. samples: of each boundary, by round. stopped: why it goes no further, or empty."""

    contender: Contender
    process: EngineProcess
    opened: Opened | None = None
    step_ns: dict[Boundary, int] = field(default_factory=dict)
    samples: dict[Boundary, list[tuple[int, ...]]] = field(default_factory=dict)
    stopped: str = ""
    failed: bool = False  # rather than: had no time, or can't run here
    differing: float | None = None


class CellRun:
    """One cell. engines: what `open_engine` takes for each contender that may run. until: by CLOCK, in seconds."""

    def __init__(self, cell: Cell, engines: dict[Contender, str], until: float, stack: ExitStack) -> None:
        self.cell, self.until = cell, until - AFTER_S
        self.all = [Running(who, stack.enter_context(EngineProcess(ref, THREADS))) for who, ref in engines.items()]
        self.engines = engines

    @property
    def left_s(self) -> float:
        return self.until - CLOCK.now_s()

    def at_work(self) -> list[Running]:
        return [one for one in self.all if not one.stopped]

    def ask(self, one: Running, wanted: type[R], method: str, *args: object, least_left_s: float = 0.0) -> R | None:
        """Its answer, or None: then it has stopped, and says why. least_left_s: time that it must leave to others."""
        most_s = self.left_s - least_left_s
        if most_s <= 0:
            one.stopped = late(one, "before its turn")
            return None
        one.process.stall_s = most_s
        try:
            return one.process.ask(wanted, method, *args)
        except CgnetError as error:
            in_time = self.left_s > least_left_s
            one.stopped = one_line(error) if in_time else late(one, "while it worked")
            one.failed = in_time and not isinstance(error, (EngineUnavailable, UserError))
            one.process.process.kill()
            return None

    def open_all(self) -> None:
        """All at once: most of it is importing a runtime, and nothing is timed yet."""

        def opened(one: Running) -> None:
            request = Open(self.engines[one.contender], self.cell.res, self.cell.batch, THREADS)
            one.opened = self.ask(one, Opened, "open", request)

        with ThreadPoolExecutor(max(len(self.all), 1)) as pool:
            list(pool.map(opened, self.all))

    def warm(self, boundary: Boundary, frames: Path) -> None:
        """One after another; those that compile come last, with the time that the others leave."""
        for one in self.at_work():
            kept_s = 0.0
            if one.contender.backend.slow_start:
                kept_s = sum(rounds_s(other.step_ns[boundary]) for other in self.at_work() if boundary in other.step_ns)
            warmed = self.ask(one, Warmed, "warm", boundary, None, str(frames), 100.0, 5, 2, least_left_s=kept_s)
            if warmed:
                one.step_ns[boundary] = warmed.step_ns

    def take_rounds(self, boundary: Boundary, frames: Path) -> None:
        for number in range(ROUNDS):
            for one in self.at_work():
                if number:  # it was idle while the others worked
                    self.ask(one, Warmed, "warm", boundary, None, str(frames), 20.0, 2, 1)
                samples = max(min(SAMPLES, round(ROUND_S * 1e9 / max(one.step_ns[boundary], 1))), 1)
                if not one.stopped and (taken := self.ask(one, Round, "measure", 0.0, samples)):
                    one.samples.setdefault(boundary, []).append(taken.samples_ns)

    def compare(self, reference: str, folder: Path) -> None:
        """How many labels differ from those of the reference, an engine on the CPU, on drawn scenes."""
        data = f"scenes:0:{self.cell.res}"

        def labels(process: EngineProcess, to: Path) -> None:
            to.mkdir()
            process.ask(Accuracy, "score", ScoreOptions(data, "val", SCORED, keep=to))

        try:
            with EngineProcess(reference, cores(), stall_s=max(self.left_s, 1)) as process:
                process.ask(Opened, "open", Open(reference, self.cell.res, self.cell.batch, cores()))
                labels(process, folder / "cpu")
        except CgnetError as error:
            log.info(f"labels aren't compared: {one_line(error)}")
            return
        for number, one in enumerate(self.at_work()):
            one.process.stall_s = max(self.left_s, 1)
            try:
                labels(one.process, folder / str(number))
                one.differing = agreement(folder / str(number), folder / "cpu", SCORED).differing
            except CgnetError as error:
                one.stopped = f"it gave no labels: {one_line(error)}"


def late(one: Running, when: str) -> str:
    """Why one that had too little time goes no further."""
    if one.contender.backend.slow_start:
        return "too little time to compile its kernels: --limit gives it more"
    return f"the time for this size and batch ran out {when}"


def rounds_s(step_ns: int) -> float:
    """What the rounds of an engine will take, at both boundaries, if `e2e` takes three times as long as `device`."""
    return ROUNDS * sum(min(SAMPLES * steps * step_ns / 1e9, ROUND_S) + 0.1 for steps in (1, 3))


def run_cell(cell: Cell, ckpt: Path, files: Path, reasons: dict[str, str], ideal: Ideal, until: float) -> list[Result]:
    """Two rows of each contender. reasons: why a file is missing, by its name. ideal: what the times are judged by."""
    engines, rows = {}, {}
    for who in CONTENDERS:
        path = file_of(who, files, cell)
        why = missing(who)
        if not why and who.backend.runtime.reads != "checkpoint" and not path.exists():
            why = f"{path.name} is missing: {reasons.get(path.name, 'it was not made')}"
        if why:
            rows[who] = [Result(subject(who, boundary), "not run", why) for boundary in BOUNDARIES]
        else:
            engines[who] = who.engine(ckpt, files, cell)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cgnet-gpu-")))
        np.save(frames := folder / "frames.npy", first_frames(None, cell.res, cell.batch))
        run = CellRun(cell, engines, until, stack)
        run.open_all()
        for boundary in BOUNDARIES:
            run.warm(boundary, frames)
            run.take_rounds(boundary, frames)
        reference = files / f"{Precision.F32.value}_{cell}.onnx"
        if cell.batch == 1 and reference.exists():
            run.compare(f"ort:{reference}", folder)
        for one in run.all:
            rows[one.contender] = rows_of(one, cell, ideal)
    return [row for who in CONTENDERS for row in rows[who]]


def subject(who: Contender, boundary: Boundary) -> str:
    return f"{who.backend.title}, {who.precision.value}, {boundary}"


def rows_of(one: Running, cell: Cell, ideal: Ideal) -> list[Result]:
    """The results of one contender: a row ran if it has three rounds, the least that show how far rounds lie apart."""
    rows = []
    for boundary in BOUNDARIES:
        rounds = one.samples.get(boundary, [])
        name = subject(one.contender, boundary)
        if len(rounds) < 3 or one.opened is None:
            rows.append(Result(name, "failed" if one.failed else "not run", one.stopped))
            continue
        samples = tuple(sample for taken in rounds for sample in taken)
        latency = LatencyMs.of(samples)
        verdict = ideal.judge(latency.p50, one.contender, cell) if boundary == "device" else {}
        shown = f"p50 {latency.p50:.3f} ms, {cell.batch * 1e3 / latency.p50:.1f} frames/s"
        if "floor_ms" in verdict:
            shown += f", {latency.p50 / verdict['floor_ms']:.2f} x the floor of {verdict['floor_ms']:.3f} ms"
        if one.differing is not None:
            shown += f", {1 - one.differing:.4%} of labels as on the CPU"
        rows.append(
            Result(
                name,
                "ran",
                shown,
                {
                    "backend": one.opened.backend,
                    "provider": one.opened.provider,
                    "precision": one.opened.precision.value,
                    "sha256": one.opened.sha256,
                    "res": list(cell.res),
                    "batch": cell.batch,
                    "boundary": boundary,
                    "p50_ms": latency.p50,
                    "samples_ns": [list(taken) for taken in rounds],
                    "labels_differing_from_cpu": one.differing,
                    **verdict,
                },
            )
        )
    return rows
