"""Our CPU engines beside their peers on the exporter's own graph, all in one interleaved run.

python -m cgnet_deploy.bench.tools.cpu --ckpt model.pth --res 360x480 --data camvid --out result.json

The exporter's graph is what torch.onnx.export writes: planes in, logits out. Where a peer has no pixels in its
graph, pixels.py and the argmax of engines/argmax.py stand round it (boundary e2e); boundary host times the graph alone.
The floor is what a large matrix product on the same threads would take for the network's multiply-adds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cgnet_deploy.artifact import IO
from cgnet_deploy.bench.api import benchmark
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.measure.latency import measure, timed
from cgnet_deploy.bench.report import table as report
from cgnet_deploy.engines.openvino import shared_core
from cgnet_deploy.errors import MissingPackage, require
from cgnet_deploy.export.api import export
from cgnet_deploy.export.choices import TargetName
from cgnet_deploy.files import write_json
from cgnet_deploy.places import check_writable
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, integer, res_argument, run
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

SIDE = 2048  # of the matrices that show the peak

# name -> target, fusion rules left out, pruned?, io. "any": what holds for any weights; the rest uses what these prove.
VARIANTS: dict[str, tuple[TargetName, tuple[str, ...], bool, IO]] = {
    "ort-any": ("ort-cpu", ("gate-constant",), False, "tensor"),
    "ort-proven": ("ort-cpu", (), True, "tensor"),
    "ort-frames": ("ort-cpu", (), True, "frames"),
    "openvino-any": ("openvino", ("gate-constant",), False, "tensor"),
    "openvino-proven": ("openvino", (), True, "tensor"),
    "openvino-frames": ("openvino", (), True, "frames"),
}
OPENVINO_TYPES = ("openvino", "openvino-bf16")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-bench."""

    def command(args: argparse.Namespace) -> int:
        options = {name: value for name, value in vars(args).items() if name not in ("ckpt", "res", "log_level")}
        compare(args.ckpt, args.res, **options)
        return 0

    return run(parser(), command, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.cpu", "Our CPU engines beside their peers, in one run.")
    parser.add_argument("--ckpt", required=True, metavar="FILE")
    parser.add_argument("--exporter", metavar="FILE", help="the exporter's own graph, where there is one of this size")
    parser.add_argument("--res", type=res_argument, required=True, metavar="HxW", help="height x width, pixels")
    parser.add_argument("--threads", type=integer(1, 1024), default=cores(), metavar="N")
    parser.add_argument("--data", metavar="DIR", help="labelled frames for the mIoU beside each latency")
    parser.add_argument(
        "--iterations", type=integer(1, 1_000_000), default=100, metavar="N", help="inferences of each row at least"
    )
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: minutes, and a C++ compiler")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the result as JSON")
    return parser


def compare(
    ckpt: str,
    res: Res,
    *,
    threads: int,
    iterations: int,
    out: Path,
    exporter: str | None = None,
    data: str | None = None,
    compiled: bool = False,
) -> None:
    """Export every variant, measure all of them and their peers at `host` and `e2e`, and write the rows as JSON."""
    check_writable(out)
    here = describe(threads, ("python", *sys.orig_argv[1:]))
    with tempfile.TemporaryDirectory() as folder:
        if not exporter:
            require("torch", extra="export")
            from cgnet_deploy.export.plain import export_plain

            export_plain(Path(ckpt), res, Path(exporter := str(Path(folder) / "exporter.onnx")))
        ours = {name: str(Path(folder) / f"{name}.onnx") for name in VARIANTS}
        for name, (target, without, prune, io) in VARIANTS.items():
            export(ckpt, ours[name], res=res, target=target, without=without, prune=prune, io=io, data=data)
        runtimes = OPENVINO_TYPES[: 1 + (not why_no_bf16())]
        engines = [*peers(ckpt, exporter, compiled)]
        engines += [f"ort:{path}" for name, path in ours.items() if name.startswith("ort")]
        engines += [f"{runtime}:{ours[name]}" for name in ours if name.startswith("openvino") for runtime in runtimes]
        log.info(f"peak of a {SIDE}x{SIDE} f32 matrix product: {peak_gflops():.0f} GFLOP/s")
        records = benchmark(
            engines, res=res, boundaries=("host", "e2e"), threads=threads, iterations=iterations, data=data
        )
    print(report.table(records), *report.verdicts(records), sep="\n")
    write_json(out, report.to_json(records, here))


def peers(ckpt: str, exporter: str, compiled: bool) -> Iterator[str]:
    """The engines to compare with, as cgnet-bench takes them; what is missing here is named on stderr."""
    wanted = [
        (f"ort:{exporter}", None),
        (f"openvino:{exporter}", None),
        (f"openvino-bf16:{exporter}", why_no_bf16()),
        (f"ncnn:{exporter}", why_no_ncnn()),
        (f"torch:{ckpt}", None),
        (f"torch-compile:{ckpt}", None if compiled else "--compiled adds it"),
        (f"torch-compile-bf16:{ckpt}", why_no_bf16() if compiled else "--compiled adds it"),
    ]
    for engine, missing in wanted:
        if missing is None:
            yield engine
        else:
            log.info(f"missing: {engine}: {missing}")


def why_no_bf16() -> str | None:
    capabilities = shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return None if "BF16" in capabilities else "this CPU has no bf16"


def why_no_ncnn() -> str | None:
    try:
        require("ncnn", extra="peers"), require("pnnx", extra="peers")
    except MissingPackage as error:
        return str(error)
    return None


def peak_gflops() -> float:
    """Of a large f32 matrix product, the best of ten."""
    a = np.ones((SIDE, SIDE), np.float32)
    return 2 * SIDE**3 / min(measure(timed(lambda: a @ a), 0, 10).samples_ns)


if __name__ == "__main__":
    raise SystemExit(main())
