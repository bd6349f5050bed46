"""What engines take beside processes that keep cores busy, as on a robot that has more to do than to look.

python -m cgnet_deploy.bench.tools.beside --engine native:int8.onnx --engine openvino:f32.onnx --res 360x480 --out FILE

A fixed share of the work for each core is as slow as the core that has the least time for it, and a thread that spins
while it waits takes time from the others; alone on a machine neither shows. The engines take turns, and the busy
processes, which the system places as it likes, run all the while.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cgnet_deploy.bench.api import benchmark
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.report import table as report
from cgnet_deploy.files import write_json
from cgnet_deploy.places import check_writable
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, integer, number, res_argument, run
from cgnet_deploy.threads import cores

# It ends with the process that started it, however that ends.
BUSY = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(100_000):
        pass
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-bench."""

    def command(args: argparse.Namespace) -> int:
        measure_beside(args.busy, args.engine, args.res, threads=args.threads, duration_s=args.duration, out=args.out)
        return 0

    return run(parser(), command, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.beside", "Time engines beside processes that keep cores busy.")
    parser.add_argument(
        "--engine", required=True, action="append", metavar="FILE", help="as of cgnet-bench; repeatable"
    )
    parser.add_argument("--res", type=res_argument, required=True, metavar="HxW", help="height x width, pixels")
    parser.add_argument("--busy", type=integer(1, 1024), default=1, metavar="N", help="processes (default %(default)s)")
    parser.add_argument("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="default %(default)s")
    parser.add_argument(
        "--duration", type=number(0, 3600), default=10.0, metavar="S", help="of each engine (default 10)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the result as JSON")
    return parser


def measure_beside(busy: int, engines: Sequence[str], res: Res, *, threads: int, duration_s: float, out: Path) -> None:
    """Measure `engines` at `e2e` beside `busy` processes, print the table and write the rows as JSON."""
    check_writable(out)
    here = describe(threads, ("python", *sys.orig_argv[1:]))
    with busy_processes(busy):
        records = benchmark(engines, res=res, threads=threads, duration_s=duration_s)
    print(report.table(records), *report.verdicts(records), sep="\n")
    write_json(out, report.to_json(records, here))


@contextmanager
def busy_processes(count: int) -> Iterator[tuple[subprocess.Popen[bytes], ...]]:
    """So many processes that compute without a pause."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            processes.append(subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]))
        yield tuple(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
