"""One run of the search: what PyTorch says, the race, scores, the final, and what is kept of it.

PyTorch   labels the frames and, once, the data set: the measure of all others
race      race.py, over files that are exported as they are needed
scores    the mIoU of what is fast; what drops too far brings back those that it eliminated, which race again
final     ten rounds of those that are left, of the graph that torch.onnx.export writes, and of PyTorch
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cgnet_deploy.bench.machine.readings import here
from cgnet_deploy.bench.measure.rounds import ROUNDS, StartProcess
from cgnet_deploy.bench.measure.run import first_frames, save
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.report.compare import ratio
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import CgnetError, MissingPackage
from cgnet_deploy.files import scratch
from cgnet_deploy.spec import Res
from cgnet_deploy.tuning.attempt import attempt
from cgnet_deploy.tuning.choice import best_so_far, chosen
from cgnet_deploy.tuning.kept import Tuned, keep_file, write_report
from cgnet_deploy.tuning.limits import Limits
from cgnet_deploy.tuning.make import Maker
from cgnet_deploy.tuning.pool import EnginePool, TimingSetup, engine_process
from cgnet_deploy.tuning.race import Trials, race, waiting_again
from cgnet_deploy.tuning.state import Comparison, State, Winner
from cgnet_deploy.tuning.trial import Trial, beside_pytorch

log = logging.getLogger(__name__)

SEARCH_SHARE = 0.6  # of --time: exports and the race; the rest is for scores and the final
FINAL_S, FINAL_SAMPLES = 3.0, 100  # of the ten rounds, as in cgnet-bench
PLAIN = "torch.onnx.export.onnx"  # the file of the graph that the exporter writes by itself
PEERS = ("ort", "ort-cuda", "openvino", "openvino-bf16", "openvino-f16", "openvino-gpu", "openvino-npu")
EXACT = 0.98  # of PyTorch's own labels, which are what the others are compared with


@dataclass(slots=True)
class Session:
    """out: the folder. settings: of the race. start: starts the process of an engine.

    state: what is known; it grows, and is written to `out` after every step. time_min: see `tune`.
    """

    out: Path
    settings: Settings
    maker: Maker
    limits: Limits
    state: State
    time_min: float | None = None
    start: StartProcess = engine_process

    def run(self) -> Tuned:
        """Raises AccuracyError, PerformanceError or CgnetError if there is no winner; see `tune`."""
        begin_ns = CLOCK.now_ns()
        search_ns = math.inf if self.time_min is None else SEARCH_SHARE * self.time_min * 60e9
        try:
            with self._setup() as setup:
                self._search(setup, lambda: CLOCK.now_ns() - begin_ns < search_ns)
                records = self._final(setup)
        except KeyboardInterrupt:
            self._keep_best_so_far()
            raise
        try:
            tuned = self._decided(records)
        except CgnetError as error:
            self._know(failure=str(error), interrupted=False)
            raise
        finally:
            write_report(self.out, [*records.values()], self.state.environment)
        return tuned

    @contextmanager
    def _setup(self) -> Iterator[TimingSetup]:
        """The frames, and PyTorch's labels of them."""
        settings = self.settings
        with scratch("tune") as folder:
            dataset = open_dataset(str(settings.data), settings.split)
            res = settings.res or Res(*dataset.frame(0).shape[:2])
            save(frames := folder / "frames.npy", first_frames(dataset, res, settings.batch or 1))
            setup = TimingSetup(settings, frames, self.maker.folder, None, here(), self.start)
            with EnginePool(setup) as pool:
                pool.open("PyTorch", f"torch:{self.maker.ckpt}", settings.threads, EXACT, settings.hints)
                labels = pool.labels("PyTorch")
                if self.state.base is None:
                    self._know(base=pool.score("PyTorch", settings.limit or 0))
            yield replace(setup, labels=labels)

    def _search(self, setup: TimingSetup, in_time: Callable[[], bool]) -> None:
        trials = {trial.name: trial for trial in self.state.candidates}
        while True:
            trials = race(trials, self._make, lambda: EnginePool(setup), self._keep, in_time)
            for trial in sorted(trials.values(), key=lambda trial: trial.typical_ms):
                if trial.fate == "fast":
                    trials[trial.name] = self._scored(setup, trial)
                    self._keep(trials)
            trials = waiting_again(trials)
            if all(trial.fate != "waiting" for trial in trials.values()):
                return

    def _make(self, trial: Trial) -> Trial:
        return self.limits.sized(self.maker(trial))

    def _scored(self, setup: TimingSetup, trial: Trial) -> Trial:
        if trial.confusion is None:
            with attempt(trial.name) as tried, EnginePool(setup) as pool:
                pool.add(trial)
                trial = replace(trial, confusion=pool.score(trial.name, self.settings.limit or 0))
            if tried.why:
                return replace(trial, fate="failed", why=tried.why)
        judged = self.limits.judged(trial, self.base)
        log.info(f"{trial.name}: mIoU {beside_pytorch(trial.drop(self.base) or 0.0)}: {judged.fate}")
        return judged

    @property
    def base(self) -> Confusion:
        """Of PyTorch."""
        if self.state.base is None:
            raise CgnetError("PyTorch was not scored")
        return self.state.base

    def _final(self, setup: TimingSetup) -> dict[str, Record]:
        """The rows of the peers and of what was scored; a candidate that fails now gets its reason."""
        finalists = [trial for trial in self.state.candidates if trial.confusion is not None]
        finalists = [trial for trial in finalists if trial.fate in ("scored", "refused")]
        longer = replace(setup.settings, least_s=FINAL_S, least_samples=FINAL_SAMPLES)
        setup = replace(setup, settings=longer)
        scores = {trial.name: trial.confusion for trial in finalists}
        with EnginePool(setup) as pool:
            for name, ref in self._peers():
                with self._or_failed(name, pool):
                    pool.open(name, ref, self.settings.threads, EXACT, self.settings.hints)
            for trial in finalists:
                with self._or_failed(trial.name, pool):
                    pool.add(trial)
            for number in range(ROUNDS):
                log.info(f"final: round {number + 1} of {ROUNDS}")
                for name in tuple(pool.engines):
                    with self._or_failed(name, pool):
                        pool.time(name)
            scores["PyTorch"] = self.base
            return {name: pool.record(name, scores.get(name)) for name in pool.engines}

    @contextmanager
    def _or_failed(self, name: str, pool: EnginePool) -> Iterator[None]:
        """Go on without an engine that can't."""
        with attempt(name) as tried:
            yield
        if tried.why:
            pool.remove(name)
            known = {trial.name: trial for trial in self.state.candidates}
            if name in known:
                self._keep(known | {name: replace(known[name], fate="failed", why=tried.why)})

    def _peers(self) -> Iterator[tuple[str, str]]:
        """Name and reference of what a user has without us: the exporter's graph in each runtime, and PyTorch."""
        missing = {one.backend for one in self.state.not_searched}
        runtimes = [backend for backend in PEERS if backend not in missing]
        if runtimes and self.settings.batch == 1 and self.settings.res:
            plain = self.maker.folder / PLAIN
            try:
                if not plain.is_file():
                    from cgnet_deploy.export.plain import export_plain

                    log.info("exporting what torch.onnx.export writes by itself, to compare with")
                    export_plain(self.maker.ckpt, self.settings.res, plain, self.settings.hints.weights)
                for backend in runtimes:
                    yield f"torch.onnx.export's graph, {backend}", f"{backend}:{plain}"
            except MissingPackage as error:  # onnxscript, by which nothing else here is made
                log.warning(f"torch.onnx.export's graph is left out: {error}")
        yield "PyTorch", f"torch:{self.maker.ckpt}"

    def _decided(self, records: dict[str, Record]) -> Tuned:
        known = {trial.name: trial for trial in self.state.candidates}
        timed = tuple(
            replace(known[name], p50_ms=row.p50_ms_by_round, final_ms=row.latency_ms.p50)
            for name, row in records.items()
            if name in known
        )
        self._keep(known | {trial.name: trial for trial in timed})
        best, path = chosen(timed, self.state.candidates, self.base, self.limits, self._copy)
        peers = [
            Comparison(name, row.latency_ms.p50, ratio(records[best.name], row))
            for name, row in records.items()
            if name not in known
        ]
        winner = Winner(
            best.name,
            f"{best.candidate.backend}:{path}",
            best.candidate.threads,
            self.maker.command(best.candidate.variant),
            best.typical_ms,
            best.drop(self.base),
            tuple(sorted(peers, key=lambda peer: -peer.p50_ms)),
        )
        self._know(winner=winner, failure="", interrupted=False)
        return Tuned(path, winner, self.state, tuple(records.values()))

    def _keep_best_so_far(self) -> None:
        if (best := best_so_far(self.state.candidates)) is None:
            log.warning(f"interrupted before anything was timed; run again to go on from {self.out}")
            return
        path = self._copy(best, False)
        log.warning(f"interrupted: the best so far, {best.name}, is {path}; run again to go on from {self.out}")

    def _copy(self, trial: Trial, missed: bool) -> Path:
        """Keep a trial's file as cgnet.onnx or cgnet.plan or, `missed`, as cgnet.missed.*."""
        return keep_file(self.maker.folder / trial.candidate.variant.name, self.out, missed)

    def _keep(self, trials: Trials) -> None:
        self._know(candidates=tuple(trials.values()))

    def _know(self, **news: Any) -> None:
        """More of the state, on the disk too."""
        self.state = replace(self.state, **news)
        self.state.write(self.out / "tune.json")
