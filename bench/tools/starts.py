"""From the start of a Python program to its first labels: cold, and with what an earlier start compiled (kept.py).

    python -m cgnet_deploy.bench.tools.starts --engine openvino:cgnet.onnx --engine ort:cgnet.onnx [--starts 10]

Each start is a process of its own, the two ways take turns, and the median counts. `filling` is the one that compiles
and keeps the result. The cache is a temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cgnet_deploy.child import program
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.errors import CgnetError, one_line
from cgnet_deploy.tables import text_table
from cgnet_deploy.terminal import Parser, integer, run, show
from cgnet_deploy.threads import cores

STALL_S = 120.0
HEADINGS = ("engine", "start", "starts", "wall ms", "CPU ms")


@dataclass(frozen=True, slots=True)
class Start:
    """labels: their sha256."""

    wall_ms: float
    cpu_ms: float
    labels: str


def main(argv: Sequence[str] | None = None) -> int:
    def command(args: argparse.Namespace) -> int:
        rows = [row for engine in args.engine for row in measured(engine, args.starts, args.threads)]
        show(text_table(HEADINGS, rows, HEADINGS[2:]))
        return 0

    return run(_parser(), command, argv)


def _parser() -> Parser:
    result = Parser("python -m cgnet_deploy.bench.tools.starts", "Time starts to the first labels, cold and not.")
    add = result.add_argument
    add("--engine", action="append", required=True, metavar="FILE", help="as of cgnet-bench")
    add("--starts", type=integer(1, 10_000), default=10, metavar="N", help="of each kind (default: %(default)s)")
    add("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="CPU threads (default: %(default)s)")
    return result


def measured(engine: str, starts: int, threads: int) -> list[tuple[str, ...]]:
    """The rows of an engine. Raises CgnetError if a start fails, or if its labels differ from those of another."""
    taken: dict[str, list[Start]] = {"cold": [], "filling": [], "kept": []}
    with tempfile.TemporaryDirectory(prefix="cgnet-starts-") as folder:
        place = {**os.environ, "XDG_CACHE_HOME": folder}
        taken["filling"].append(_start(engine, threads, place, cache=True))
        for _ in range(starts):
            taken["cold"].append(_start(engine, threads, place, cache=False))
            taken["kept"].append(_start(engine, threads, place, cache=True))
    if len({start.labels for found in taken.values() for start in found}) > 1:
        raise CgnetError(f"{engine}: labels differ from one start to another")
    return [
        (
            engine,
            way,
            str(len(found)),
            f"{statistics.median(start.wall_ms for start in found):.0f}",
            f"{statistics.median(start.cpu_ms for start in found):.0f}",
        )
        for way, found in taken.items()
    ]


def _start(engine: str, threads: int, place: Mapping[str, str], *, cache: bool) -> Start:
    words = (*program("cgnet_deploy.bench.tools.starts", "first_labels"), engine, str(threads), "kept" if cache else "")
    begin = CLOCK.now_ns()
    done = subprocess.run(words, env=place, capture_output=True, timeout=STALL_S, check=False)
    wall_ms = (CLOCK.now_ns() - begin) / 1e6
    if done.returncode:
        raise CgnetError(f"{engine}: {one_line(done.stderr.decode(errors='replace')) or f'code {done.returncode}'}")
    return Start(wall_ms, **json.loads(done.stdout))


def first_labels() -> int:
    """The program that is timed: it labels one grey frame. Its own end counts too, as little as it is."""
    engine, threads, cache = sys.argv[1:]

    import numpy as np

    import cgnet_deploy as cg

    opened = cg.open_engine(engine, threads=int(threads), cache=bool(cache))
    labels = opened.infer(np.full((opened.info.shape[0] or 1, *opened.info.res, 3), 128, np.uint8))
    cpu_ms = time.process_time() * 1e3
    print(json.dumps({"cpu_ms": cpu_ms, "labels": hashlib.sha256(labels.tobytes()).hexdigest()}), flush=True)
    os._exit(0)  # freeing what was compiled is no part of a start


if __name__ == "__main__":
    sys.exit(main())
