"""cgnet-bench: mIoU and latency of every engine given, in one table.

cgnet-bench --engine cgnet.plan --res 1024x2048
cgnet-bench --engine model.pth --engine cgnet.onnx --data camvid --split val --json result.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cgnet_deploy.artifact import replacing
from cgnet_deploy.bench import environment, gates, report
from cgnet_deploy.bench.latency import BOUNDARIES
from cgnet_deploy.bench.notes import notes
from cgnet_deploy.bench.record import Record
from cgnet_deploy.bench.run import Settings, run
from cgnet_deploy.errors import UsageError, UserError
from cgnet_deploy.terminal import Parser, res_argument, say
from cgnet_deploy.terminal import run as run_command

STDOUT = Path("-")
MAX_BATCH = 1024
MAX_THREADS = 1024


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("cgnet-bench", lambda: bench(sys.argv[1:] if argv is None else argv))


def parser() -> argparse.ArgumentParser:
    parser = Parser("cgnet-bench", "Measure mIoU and latency of engines, each in its own process, taking turns.")
    add = parser.add_argument
    add(
        "--engine",
        "--loadEngine",
        action="append",
        required=True,
        metavar="FILE",
        help="what to measure: .pth (PyTorch), .onnx (ONNX Runtime), .plan or .engine (TensorRT); a prefix chooses "
        "another backend, as in openvino:cgnet.onnx; repeat it to compare, the first is the base of the ratios",
    )
    add("--contract", help="input contract of an engine that has none of its own, such as camvid-official")
    add(
        "--res", type=res_argument, metavar="HxW", help="frame size in pixels, height first (default: the engine's own)"
    )
    add("--batch", type=whole(1, MAX_BATCH), metavar="N", help="frames per inference (default: the engine's own, or 1)")
    add(
        "--threads",
        type=whole(1, MAX_THREADS),
        default=environment.cores(),
        metavar="N",
        help="CPU threads that each engine computes with (default: the cores that may be used, %(default)s)",
    )
    add(
        "--boundary",
        action="append",
        choices=BOUNDARIES,
        help="what a sample spans; repeat it for several rows (default: e2e). device: the GPU's own events round one "
        "inference. host: submit to synchronised. e2e: u8 frame in host memory to u8 labels in host memory. "
        "paced: e2e at --fps, idle in between",
    )
    add("--fps", type=real(0.001, 1e6), metavar="N", help="frames per second of --boundary paced")
    add(
        "--warmup",
        "--warmUp",
        type=real(0, 600_000),
        default=200.0,
        metavar="MS",
        help="warm up for at least this many milliseconds and 10 inferences (default: %(default)g)",
    )
    add(
        "--duration",
        type=real(0, 86_400),
        default=3.0,
        metavar="S",
        help="time each row for at least this many seconds (default: %(default)g)",
    )
    add(
        "--iterations",
        type=whole(1, 1_000_000),
        default=100,
        metavar="N",
        help="time each row for at least so many inferences (default: %(default)s; p99 needs 1000)",
    )
    add(
        "--data",
        metavar="DIR",
        help="labelled frames to score: CamVid, Cityscapes, or scenes[:SEED[:HxW]] (drawn); "
        "without it only latency is measured, on drawn frames",
    )
    add("--split", help="part of --data to score (default: val)")
    add("--limit", type=whole(1, 10_000_000), metavar="N", help="score only the first N images of --data")
    add("--outlines", action="store_true", help="score outlines too (boundary F-score); it takes longer")
    add(
        "--json", type=Path, metavar="FILE", help="write the result as JSON; - is stdout, the table then goes to stderr"
    )
    add("--csv", type=Path, metavar="FILE", help="write the rows as CSV; - is stdout, the table then goes to stderr")
    add("--fail-under-miou", type=real(0, 1), metavar="X", help="exit with 3 if an engine's mIoU (0 to 1) is below X")
    add("--fail-over-ms", type=real(0, 1e9), metavar="Y", help="exit with 4 if a row's p50 latency is above Y ms")
    return parser  # fmt: skip


def bench(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    settings = Settings(
        engines=tuple(args.engine),
        boundaries=tuple(dict.fromkeys(args.boundary or ["e2e"])),
        threads=args.threads,
        res=args.res,
        batch=args.batch,
        fps=args.fps,
        data=args.data,
        split=args.split or "val",
        limit=args.limit,
        outlines=args.outlines,
        warmup_ms=args.warmup,
        least_s=args.duration,
        least_samples=args.iterations,
        contract=args.contract,
    )
    check(args)
    records = run(settings)
    for note in notes(records):
        say(note)
    publish(records, environment.describe(args.threads, ("cgnet-bench", *argv)), args.json, args.csv)
    if args.fail_under_miou is not None:
        gates.check_miou(records, args.fail_under_miou)
    if args.fail_over_ms is not None:
        gates.check_p50(records, args.fail_over_ms)
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise UserError for flags that don't go together or a file that can't be written, before any work."""
    if ("paced" in (args.boundary or [])) != (args.fps is not None):
        raise UsageError("--boundary paced and --fps go together: one says what to pace, the other how fast")
    needs_data = {"--split": args.split, "--limit": args.limit, "--outlines": args.outlines or None,
                  "--fail-under-miou": args.fail_under_miou}  # fmt: skip
    for flag, value in needs_data.items():
        if value is not None and args.data is None:
            raise UsageError(f"{flag} needs --data")
    if args.json == args.csv == STDOUT:
        raise UsageError("--json and --csv can't both go to stdout")
    for path in (args.json, args.csv):
        if path not in (None, STDOUT) and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            raise UserError(f"{path} can't be written: is {path.parent} a folder that you may write to?")


def publish(
    records: Sequence[Record], where: environment.Environment, json_path: Path | None, csv_path: Path | None
) -> None:
    """The table to stdout, or to stderr where JSON or CSV has stdout; each file whole or not at all."""
    table = "\n".join([report.table(records), *report.verdicts(records)])
    if STDOUT in (json_path, csv_path):
        say(table)
    else:
        print(table)
    if json_path:
        write(json_path, json.dumps(report.to_json(records, where), indent=2, allow_nan=False) + "\n")
    if csv_path:
        write(csv_path, report.to_csv(records))


def write(path: Path, text: str) -> None:
    if path == STDOUT:
        sys.stdout.write(text)
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def whole(least: int, most: int) -> Callable[[str], int]:
    """argparse type: a whole number in a range."""

    def number(text: str) -> int:
        if not text.isdecimal() or len(text) > 12 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def real(least: float, most: float) -> Callable[[str], float]:
    """argparse type: a number in a range."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return number
