"""cgnet-tune --ckpt model.pth --data camvid --max-drop 0.1

Finds the fastest file for this machine: every form that the export can make, in every runtime that is here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.bench.measure.latency import BOUNDARIES
from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.terminal import WEIGHTS, Parser, integer, number, res_argument, run, show


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 nothing is accurate enough, 4 nothing fast enough."""
    words = sys.argv[1:] if argv is None else argv

    def command(args: argparse.Namespace) -> int:
        from cgnet_deploy.tuning.api import tune

        options = {name: value for name, value in vars(args).items() if name != "log_level"}
        show(tune(**options, command=("cgnet-tune", *words)).summary())
        return 0

    return run(_parser(), command, words)


def _parser() -> Parser:
    """Each flag is an argument of `tune` (its `dest` where the names differ), which has the defaults."""
    parser = Parser("cgnet-tune", "Find the fastest file for this machine that is accurate enough.")
    parser.argument_default = argparse.SUPPRESS
    add = parser.add_argument
    add("--ckpt", type=Path, required=True, metavar="FILE", help="official, mmseg or own checkpoint")
    add("--data", required=True, metavar="DIR", help=f"labelled frames that the mIoU is measured on: {WHAT}")
    add("--split", help="which split of --data (default val)")
    add("--limit", type=integer(1, 10_000_000), metavar="N", help="score only the first N images of --data")
    text = (
        "points of mIoU (0 to 100) that the file may be below PyTorch (default 0.1); exit with 3 if that is impossible"
    )
    add("--max-drop", type=number(0, 100), metavar="POINTS", help=text)
    text = "the p50 latency to reach, in milliseconds; exit with 4 if nothing is that fast"
    add("--target-ms", type=number(0.001, 1e9), metavar="X", help=text)
    text = "the largest file allowed, in MiB; exit with 4 if nothing is that small"
    add("--max-size", dest="max_size_mib", type=number(0.001, 1e6), metavar="MIB", help=text)
    add("--res", type=res_argument, metavar="HxW", help="height x width in pixels; default: the checkpoint's")
    add("--batch", type=integer(1, 256), metavar="N", help="frames per inference (default 1)")
    text = "CPU threads (default: all cores, and half of them where two share a physical one)"
    add("--threads", type=integer(1, 1024), metavar="N", help=text)
    add("--boundary", choices=BOUNDARIES, help="what is timed, as for cgnet-bench (default e2e)")
    add("--fps", type=number(0.001, 1e6), metavar="N", help="frames per second of --boundary paced")
    text = "leave out candidates whose name, such as 'openvino:openvino-f32.onnx 2 threads', doesn't match"
    add("--only", metavar="REGEX", help=text)
    text = "stop trying candidates early enough to be done after this many minutes"
    add("--time", dest="time_min", type=number(0.01, 1e6), metavar="MIN", help=text)
    text = "frames that int8 is calibrated on, no labels (default: the train split of --data)"
    add("--calib-data", metavar="DIR", help=text)
    add("--calib-images", type=integer(8, 4096), metavar="N", help="use at most this many (default 128)")
    add("--weights", metavar="SET", help=WEIGHTS)
    add("--contract", choices=tuple(CONTRACTS), help="input contract, where the checkpoint's is missing or wrong")
    text = "folder for cgnet.onnx or cgnet.plan, tune.json, report.html and the files tried (default tuned); a run "
    add("--out", type=Path, metavar="DIR", help=text + "that was killed goes on from it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
