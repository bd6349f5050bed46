"""The flags of cgnet-bench. Scripts depend on them: a flag may be added, but never changes its meaning."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from cgnet_deploy.bench.measure.latency import BOUNDARIES
from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.engines import backends
from cgnet_deploy.engines.flags import add_flags
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, integer, number, res_argument
from cgnet_deploy.threads import cores

MAX_BATCH = 1024
MAX_THREADS = 1024


def parser() -> Parser:
    parser = Parser("cgnet-bench", "Measure mIoU and latency of engines, each in its own process, taking turns.")
    add = parser.add_argument
    add(
        "--engine",
        "--loadEngine",
        action="append",
        metavar="FILE",
        help=f"what to measure; repeat it to compare, the first is the base of the ratios. {backends.HELP}",
    )
    add_flags(parser, cache=False)
    add(
        "--res",
        action="append",
        type=res_argument,
        metavar="HxW",
        help="frame size in pixels, height first (default: the engine's own); repeat it to go through several",
    )
    add(
        "--batch",
        action="append",
        type=batches,
        metavar="N",
        help="frames per inference (default: the engine's own, or 1); repeat it to go through several, or say 1..8",
    )
    add(
        "--shapes",
        type=shapes,
        metavar="NAME:NxHxWx3",
        help="trtexec's way to say --batch and --res: NAME:NxHxWx3 for frames, NAME:Nx3xHxW for a tensor",
    )
    add(
        "--threads",
        type=integer(1, MAX_THREADS),
        default=cores(),
        metavar="N",
        help="CPU threads that each engine computes with (default: the cores that may be used, %(default)s)",
    )
    add(
        "--boundary",
        action="append",
        choices=BOUNDARIES,
        help="what a sample spans; repeat it for several rows (default: e2e). device: the GPU's own events around one "
        "inference. host: submit to synchronised. e2e: u8 frame in host memory to u8 labels in host memory. "
        "paced: e2e at --fps, idle in between",
    )
    add("--fps", type=number(0.001, 1e6), metavar="N", help="frames per second of --boundary paced")
    add(
        "--warmup",
        "--warmUp",
        type=number(0, 600_000),
        default=200.0,
        metavar="MS",
        help="warm up for at least this many milliseconds and 10 inferences (default: %(default)g)",
    )
    add(
        "--duration",
        type=number(0, 86_400),
        default=3.0,
        metavar="S",
        help="time each row for at least this many seconds (default: %(default)g)",
    )
    add(
        "--iterations",
        type=integer(1, 1_000_000),
        default=100,
        metavar="N",
        help="time each row for at least this many inferences (default: %(default)s; p99 needs 1000)",
    )
    add(
        "--data",
        metavar="DIR",
        help=f"labelled frames to score: {WHAT}; without it only latency is measured, on drawn frames",
    )
    add("--split", help="part of --data to score (default: val)")
    add("--limit", type=integer(1, 10_000_000), metavar="N", help="score only the first N images of --data")
    add("--outlines", action="store_true", help="score outlines too (boundary F-score); it takes longer")
    add(
        "--ms-flip",
        action="store_true",
        help="score mIoU (ms+flip) too: 12 views of each image, so it needs an engine that takes any size and gives "
        "logits, such as a checkpoint",
    )
    add(
        "--profile",
        "--dumpProfile",
        action="store_true",
        help="time each layer too, in a run of its own, and show the time of each block of the network",
    )
    add(
        "--json", type=Path, metavar="FILE", help="write the result as JSON; - is stdout, the table then goes to stderr"
    )
    add("--csv", type=Path, metavar="FILE", help="write the rows as CSV; - is stdout, the table then goes to stderr")
    add(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help="append each row with its raw samples; rows that are there already, measured with the same flags on the "
        "same files, are not measured again: an interrupted run goes on where it stopped",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the table in GitHub's Markdown; - is stdout")
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="write one HTML file with charts, every figure and, with --data, frames as each engine labels them; it "
        "needs no network, and holds pictures of --data: so share it with care",
    )
    add(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="measure nothing: read the last run's rows from a --jsonl file and write them in the formats requested",
    )
    add(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="an earlier --json of this machine: exit with 3 if an engine's mIoU has fallen by more than 0.1 points, "
        "with 4 if a p50 has risen by more than 5 %% and the noise of both",
    )
    add("--fail-under-miou", type=number(0, 1), metavar="X", help="exit with 3 if an engine's mIoU (0 to 1) is below X")
    add("--fail-over-ms", type=number(0, 1e9), metavar="Y", help="exit with 4 if a row's p50 latency is above Y ms")
    return parser


def batches(text: str) -> tuple[int, ...]:
    """argparse type: one batch, such as 4, or a range, such as 1..8, both ends included."""
    first, dots, last = text.partition("..")
    count = integer(1, MAX_BATCH)
    counts = range(count(first), count(last if dots else first) + 1)
    if not counts:
        raise argparse.ArgumentTypeError(f"{text!r} goes down; wanted a range such as 1..8")
    return tuple(counts)


def shapes(text: str) -> tuple[int, Res]:
    """argparse type: the batch and the size in what trtexec calls a shape."""
    match = re.fullmatch(r"[^,]+:(\d{1,4})x(?:3x(\d{1,6}x\d{1,6})|(\d{1,6}x\d{1,6})x3)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not one input's NAME:NxHxWx3 or NAME:Nx3xHxW")
    return integer(1, MAX_BATCH)(match[1]), res_argument(match[2] or match[3])
