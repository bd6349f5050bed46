"""One run of the search: what PyTorch says, heats, scores, the final, and what is kept of it.

PyTorch   labels the frames and, once, the data set: the measure of all others
heats     race.py, over files that are exported as they are needed
scores    the mIoU of what is fast; what drops too far frees those that it drove out, which race again
final     ten rounds of those that are left, of the graph that torch.onnx.export writes, and of PyTorch
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from cgnet_deploy.bench.machine.readings import here
from cgnet_deploy.bench.measure.rounds import ROUNDS, StartProcess
from cgnet_deploy.bench.measure.run import first_frames, save
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.report.compare import ratio
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import AccuracyError, CgnetError, MissingPackage, PerformanceError
from cgnet_deploy.files import scratch
from cgnet_deploy.spec import Res
from cgnet_deploy.tuning.attempt import attempt
from cgnet_deploy.tuning.contest import Contest, Course, engine_process
from cgnet_deploy.tuning.kept import Tuned, keep_file, write_report
from cgnet_deploy.tuning.limits import Limits
from cgnet_deploy.tuning.make import Maker
from cgnet_deploy.tuning.race import Trials, race, waiting_again
from cgnet_deploy.tuning.state import Against, State, Winner
from cgnet_deploy.tuning.trial import Trial, beside_pytorch

log = logging.getLogger(__name__)

SEARCH_SHARE = 0.6  # of --time: exports and heats; the rest is for scores and the final
FINAL_S, FINAL_SAMPLES = 3.0, 100  # of the ten rounds, as in cgnet-bench
PLAIN = "torch.onnx.export.onnx"  # the file of the graph that the exporter writes by itself
PEERS = ("ort", "ort-cuda", "openvino", "openvino-bf16", "openvino-f16", "openvino-gpu", "openvino-npu")
EXACT = 0.98  # of PyTorch's own labels, which are what the others are compared with


@dataclass(slots=True)
class Session:
    """out: the folder. settings: of heats. start: starts the process of an engine.

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
            with self._course() as course:
                self._search(course, lambda: CLOCK.now_ns() - begin_ns < search_ns)
                records = self._final(course)
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
    def _course(self) -> Iterator[Course]:
        """The frames, and PyTorch's labels of them."""
        settings = self.settings
        with scratch("tune") as folder:
            dataset = open_dataset(str(settings.data), settings.split)
            res = settings.res or Res(*dataset.frame(0).shape[:2])
            save(frames := folder / "frames.npy", first_frames(dataset, res, settings.batch or 1))
            course = Course(settings, frames, self.maker.folder, None, here(), self.start)
            with Contest(course) as contest:
                contest.open("PyTorch", f"torch:{self.maker.ckpt}", settings.threads, EXACT, settings.said)
                labels = contest.labels("PyTorch")
                if self.state.base is None:
                    self._know(base=contest.score("PyTorch", settings.limit or 0))
            yield replace(course, labels=labels)

    def _search(self, course: Course, in_time: Callable[[], bool]) -> None:
        trials = {trial.name: trial for trial in self.state.candidates}
        while True:
            trials = race(trials, self._make, lambda: Contest(course), self._keep, in_time)
            for trial in sorted(trials.values(), key=lambda trial: trial.typical_ms):
                if trial.fate == "fast":
                    trials[trial.name] = self._scored(course, trial)
                    self._keep(trials)
            trials = waiting_again(trials)
            if all(trial.fate != "waiting" for trial in trials.values()):
                return

    def _make(self, trial: Trial) -> Trial:
        return self.limits.sized(self.maker(trial))

    def _scored(self, course: Course, trial: Trial) -> Trial:
        if trial.confusion is None:
            with attempt(trial.name) as tried, Contest(course) as contest:
                contest.enter(trial)
                trial = replace(trial, confusion=contest.score(trial.name, self.settings.limit or 0))
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

    def _final(self, course: Course) -> dict[str, Record]:
        """The rows of the peers and of what was scored; a candidate that fails now gets its reason."""
        finalists = [trial for trial in self.state.candidates if trial.confusion is not None]
        finalists = [trial for trial in finalists if trial.fate in ("scored", "refused")]
        longer = replace(course.settings, least_s=FINAL_S, least_samples=FINAL_SAMPLES)
        course = replace(course, settings=longer)
        scores = {trial.name: trial.confusion for trial in finalists}
        with Contest(course) as contest:
            for name, ref in self._peers():
                with self._or_out(name, contest):
                    contest.open(name, ref, self.settings.threads, EXACT, self.settings.said)
            for trial in finalists:
                with self._or_out(trial.name, contest):
                    contest.enter(trial)
            for number in range(ROUNDS):
                log.info(f"final: round {number + 1} of {ROUNDS}")
                for name in tuple(contest.entrants):
                    with self._or_out(name, contest):
                        contest.time(name)
            scores["PyTorch"] = self.base
            return {name: contest.record(name, scores.get(name)) for name in contest.entrants}

    @contextmanager
    def _or_out(self, name: str, contest: Contest) -> Iterator[None]:
        """Go on without an engine that can't."""
        with attempt(name) as tried:
            yield
        if tried.why:
            contest.leave(name)
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
                    export_plain(self.maker.ckpt, self.settings.res, plain, self.settings.said.weights)
                for backend in runtimes:
                    yield f"torch.onnx.export's graph, {backend}", f"{backend}:{plain}"
            except MissingPackage as error:  # onnxscript, by which nothing else here is made
                log.warning(f"torch.onnx.export's graph is left out: {error}")
        yield "PyTorch", f"torch:{self.maker.ckpt}"

    def _decided(self, records: dict[str, Record]) -> Tuned:
        """The winner, kept as cgnet.onnx, cgnet.plan or cgnet.pth; one that is not good enough as cgnet.missed.*."""
        known = {trial.name: trial for trial in self.state.candidates}
        timed = [
            replace(known[name], p50_ms=row.p50_ms_by_round, final_ms=row.latency_ms.p50)
            for name, row in records.items()
            if name in known
        ]
        self._keep(known | {trial.name: trial for trial in timed})
        good = sorted((trial for trial in timed if trial.fate == "scored"), key=lambda trial: trial.typical_ms)
        if not good:
            self._nothing_good(timed)
        best = good[0]
        target_ms = self.limits.target_ms
        missed = target_ms is not None and best.typical_ms > target_ms
        path = keep_file(self.maker.folder / best.candidate.variant.name, self.out, missed)
        if missed:
            raise PerformanceError(
                f"--target-ms {target_ms:g} can't be met: the fastest within --max-drop, {best.name}, takes "
                f"{best.typical_ms:.3f} ms; it is {path}"
            )
        peers = [
            Against(name, row.latency_ms.p50, ratio(records[best.name], row))
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

    def _nothing_good(self, timed: Sequence[Trial]) -> NoReturn:
        """Raise what says why, once the best is kept."""
        off = [(drop, trial) for trial in timed if (drop := trial.drop(self.base)) is not None]
        if off:
            drop, nearest = min(off, key=lambda pair: (pair[0], pair[1].typical_ms))
            path = keep_file(self.maker.folder / nearest.candidate.variant.name, self.out, missed=True)
            raise AccuracyError(
                f"--max-drop {self.limits.max_drop:g} can't be met: the best, {nearest.name}, is {drop:.3f} points "
                f"below PyTorch; it is {path}"
            )
        too_large = [trial for trial in self.state.candidates if trial.fate == "refused" and trial.file_bytes]
        if too_large:
            smallest = min(too_large, key=lambda trial: trial.file_bytes)
            path = keep_file(self.maker.folder / smallest.candidate.variant.name, self.out, missed=True)
            raise PerformanceError(
                f"no file is small enough: the smallest, {smallest.name}, is {smallest.why}; it is {path}"
            )
        reasons = "; ".join(f"{trial.name}: {trial.why}" for trial in self.state.candidates if trial.why)
        raise CgnetError(f"no candidate could be timed: {reasons}")

    def _keep_best_so_far(self) -> None:
        """Of what was scored the fastest, else the fastest in f32, which needs no score."""
        sure = [trial for trial in self.state.candidates if trial.fate == "scored"]
        sure = sure or [trial for trial in self.state.candidates if trial.fate == "fast" and not trial.candidate.loss]
        if not sure:
            log.warning(f"interrupted before anything was timed; run again to go on from {self.out}")
            return
        best = min(sure, key=lambda trial: trial.typical_ms)
        path = keep_file(self.maker.folder / best.candidate.variant.name, self.out, missed=False)
        log.warning(f"interrupted: the best so far, {best.name}, is {path}; run again to go on from {self.out}")

    def _keep(self, trials: Trials) -> None:
        self._know(candidates=tuple(trials.values()))

    def _know(self, **news: Any) -> None:
        """More of the state, on the disk too."""
        self.state = replace(self.state, **news)
        self.state.write(self.out / "tune.json")
