"""Check the benchmark's verdicts on this machine, on engines of which the truth is known.

python -m cgnet_deploy.bench.tools.selftest --engine cgnet.onnx --runs 10                 the same engine twice
python -m cgnet_deploy.bench.tools.selftest --engine cgnet.onnx --runs 10 --slower 1.1    one made slower

Each run is one of cgnet-bench's: processes of their own, rounds in turn, warm-up. It is right if, of the same engine
twice, the interval of the ratio holds 1 and there is no winner; or if the engine that wasn't made slower wins.
--nothing measures what the harness adds to a sample instead: the time of an engine that does nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np

from cgnet_deploy.bench.measure.opening import Open, Start, open_for_timing
from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.run import run
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.measure.worker import serve
from cgnet_deploy.bench.report.compare import fastest, ratio
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.child import program as child
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision
from cgnet_deploy.terminal import Parser, integer, number
from cgnet_deploy.terminal import run as run_command
from cgnet_deploy.threads import cores


class Slowed(Engine):
    """An engine that takes `factor` times as long, by counting the seconds after each inference."""

    def __init__(self, engine: Engine, factor: float) -> None:
        self.engine, self.factor, self.info = engine, factor, engine.info

    def infer(self, frames: U8) -> U8:
        begin = CLOCK.now_ns()
        labels = self.engine.infer(frames)
        end = begin + (CLOCK.now_ns() - begin) * self.factor
        while CLOCK.now_ns() < end:
            pass
        return labels

    def _load(self, frames: U8) -> None:
        self.engine.load(frames)

    def enqueue(self) -> None:
        self.engine.enqueue()

    def sync(self) -> None:
        self.engine.sync()

    def fetch(self) -> U8:
        return self.engine.fetch()


class Nothing(Engine):
    """An engine that does nothing: whatever is measured of it is the harness."""

    def __init__(self) -> None:
        self.info = EngineInfo(
            "nothing", "", Precision.F32, model_spec("camvid-official", 11, (3, 21)), (1, 32, 32), ""
        )
        self.labels = np.zeros((1, 32, 32), np.uint8)

    def _load(self, frames: U8) -> None: ...

    def enqueue(self) -> None: ...

    def sync(self) -> None: ...

    def fetch(self) -> U8:
        return self.labels


def worker() -> None:
    """The process of an engine, as measure/worker.py, of a kind that only this script knows: a factor, or "nothing"."""
    kind, connection = sys.argv[1:]

    def opened(request: Open) -> Start:
        if kind == "nothing":
            return Start(Nothing(), 0, 0, 0)
        start = open_for_timing(request)
        return replace(start, engine=Slowed(start.engine, float(kind)))

    serve(Connection(int(connection)), opened)


def program(kind: str) -> tuple[str, ...]:
    return (*child("cgnet_deploy.bench.tools.selftest", "worker"), kind)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-bench."""

    def command(args: argparse.Namespace) -> int:
        samples = {"threads": args.threads, "least_s": args.duration}
        if args.nothing:
            overhead(Settings(("nothing",), ("host", "e2e"), least_samples=10_000, **samples))
        else:
            engines = (args.engine, args.engine)
            check(Settings(engines, ("e2e",), least_samples=args.iterations, **samples), args.slower, args.runs)
        return 0

    return run_command(parser(), command, argv)


def parser() -> Parser:
    parser = Parser(
        "python -m cgnet_deploy.bench.tools.selftest", "Verdicts of the benchmark where the truth is known."
    )
    add = parser.add_argument
    add("--engine", default="", metavar="FILE", help="what is measured against itself")
    add("--slower", type=number(1, 10), default=1.0, metavar="X", help="by which the second is made to take longer")
    add("--nothing", action="store_true", help="measure the harness alone")
    add("--runs", type=integer(1, 1000), default=10, metavar="N")
    add("--threads", type=integer(1, 1024), default=cores(), metavar="N")
    add(
        "--iterations", type=integer(1, 1_000_000), default=100, metavar="N", help="of each engine in each run at least"
    )
    add("--duration", type=number(0, 86_400), default=3.0, metavar="S", help="of each engine in each run at least")
    return parser


def check(settings: Settings, slower: float, runs: int) -> None:
    """Print the verdict of each run, and how many are right."""
    right = 0
    for count in range(runs):
        first, second = measured(settings, slower)
        slowdown = ratio(second, first)
        ((best, [(_, against)]),) = fastest([first, second])
        winner = best if against.high < 1 else None
        correct = winner is first if slower > 1 else slowdown.low <= 1 <= slowdown.high and winner is None
        right += correct
        named = {id(first): "the first", id(second): "the second"}.get(id(winner), "nobody")
        print(f"{count + 1}: p50 {first.latency_ms.p50:.2f} ms, ratio {slowdown}, winner: {named}", flush=True)
    print(f"right in {right} of {runs} runs")


def measured(settings: Settings, slower: float) -> tuple[Record, Record]:
    """One run of the engine twice, the second slower."""
    kinds = iter((1.0, slower))  # both through Slowed, so that they differ in nothing else

    def start(name: str, threads: int) -> EngineProcess:
        return EngineProcess(name, threads, program=program(str(next(kinds))))

    first, second = run(settings, start=start)
    return first, second


def overhead(settings: Settings) -> None:
    """Print what the harness adds to a sample."""
    for record in run(settings, start=lambda name, threads: EngineProcess(name, threads, program=program(name))):
        latency, samples = record.latency_ms, len(record.samples_ns)
        spacing_us = sum(taken.window_ns for taken in record.rounds) / samples / 1e3
        print(
            f"{record.boundary}: {samples} samples, p50 {1e3 * latency.p50:.2f} us, p90 {1e3 * latency.p90:.2f} us; "
            f"{spacing_us:.2f} us from one to the next in the mean, what is between them included"
        )


if __name__ == "__main__":
    raise SystemExit(main())
