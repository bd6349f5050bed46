"""Our CPU engines beside their peers on the exporter's own graph, all in one interleaved run.

python -m cgnet_deploy.bench.tools.cpu --ckpt model.pth --res 360x480 --data camvid --out result.json

The exporter's graph is what torch.onnx.export writes: planes in, logits out. Where a peer has no pixels in its
graph, pixels.py and the argmax of engines/argmax.py stand round it (boundary e2e); boundary host times the graph alone.
The floor is what a large matrix product on the same threads would take for the network's multiply-adds.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cgnet_deploy.bench import cli as bench
from cgnet_deploy.bench.measure.latency import measure, timed
from cgnet_deploy.engines.openvino import shared_core
from cgnet_deploy.errors import CgnetError, MissingPackage, require
from cgnet_deploy.export import cli as export
from cgnet_deploy.terminal import Parser, res_argument, run
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

SIDE = 2048  # of the matrices that show the peak

# name -> flags of cgnet-export. "any": what holds for any weights; the rest uses what these weights prove.
VARIANTS: dict[str, tuple[str, ...]] = {
    "ort-any": ("--target", "ort-cpu", "--without", "gate-constant", "--tensor-io"),
    "ort-proven": ("--target", "ort-cpu", "--prune-dead", "--tensor-io"),
    "ort-frames": ("--target", "ort-cpu", "--prune-dead"),
    "openvino-any": ("--target", "openvino", "--without", "gate-constant", "--tensor-io"),
    "openvino-proven": ("--target", "openvino", "--prune-dead", "--tensor-io"),
    "openvino-frames": ("--target", "openvino", "--prune-dead"),
}
OPENVINO_TYPES = ("openvino", "openvino-bf16")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-bench."""
    return run(parser(), compare, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.cpu", "Our CPU engines beside their peers, in one run.")
    parser.add_argument("--ckpt", required=True, metavar="FILE")
    parser.add_argument("--exporter", metavar="FILE", help="the exporter's own graph, where there is one of this size")
    parser.add_argument("--res", type=res_argument, required=True, metavar="HxW", help="height x width, pixels")
    parser.add_argument("--threads", default=str(cores()), metavar="N")
    parser.add_argument("--data", metavar="DIR", help="labelled frames for the mIoU beside each latency")
    parser.add_argument("--iterations", default="100", metavar="N", help="inferences of each row at least")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: minutes, and a C++ compiler")
    parser.add_argument("--out", required=True, metavar="FILE", help="the result as JSON")
    return parser


def compare(given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        exporter = given.exporter or str(Path(folder) / "exporter.onnx")
        if not given.exporter:
            require("torch", extra="export")
            from cgnet_deploy.export.plain import export_plain

            export_plain(Path(given.ckpt), given.res, Path(exporter))
        ours = {name: str(Path(folder) / f"{name}.onnx") for name in VARIANTS}
        for name, flags in VARIANTS.items():
            code = export.main(
                ["--ckpt", given.ckpt, "--res", str(given.res), "--no-engine", "--onnx", ours[name], *flags]
                + (["--data", given.data] if given.data else [])
            )
            if code:
                raise CgnetError(f"the variant {name} can't be exported; the line above says why")
        bf16 = not why_no_bf16()
        runtimes = OPENVINO_TYPES[: 1 + bf16]
        engines = [*peers(given.ckpt, exporter, given.compiled)]
        engines += [f"ort:{path}" for name, path in ours.items() if name.startswith("ort")]
        engines += [f"{runtime}:{ours[name]}" for name in ours if name.startswith("openvino") for runtime in runtimes]
        chosen = [part for engine in engines for part in ("--engine", engine)]
        log.info(f"peak of a {SIDE}x{SIDE} f32 matrix product: {peak_gflops():.0f} GFLOP/s")
        return bench.main(
            [
                *chosen,
                "--res",
                str(given.res),
                "--threads",
                given.threads,
                "--boundary",
                "host",
                "--boundary",
                "e2e",
                "--iterations",
                given.iterations,
                "--json",
                given.out,
            ]
            + (["--data", given.data] if given.data else [])
        )


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
