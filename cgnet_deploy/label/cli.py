"""cgnet-label: masks for every picture and video of an archive, on this machine or on a Ray cluster.

cgnet-label --input archive --output labelled --engine cgnet.onnx
cgnet-label --input 's3-mount/2026/**/*.jpg' --output labelled --engine cgnet.onnx --ray auto --workers 64
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cgnet_deploy.engines.flags import add_flags
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.terminal import Parser, integer, number, res_argument, run


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed or nothing could be read, 2 usage or bad input, 5 can't run here."""
    return run(_parser(), _label, argv)


def _parser() -> Parser:
    parser = Parser("cgnet-label", "Label an archive of pictures and videos; run it again to resume.")
    add = parser.add_argument
    add(
        "--input",
        required=True,
        metavar="DIR|GLOB|PARQUET",
        help="a folder with all its subfolders, a glob pattern in quotes, or a Parquet file with a column path",
    )
    add("--output", required=True, metavar="DIR", help="masks as palette PNG, classes.json, index.parquet")
    text = "what labels, as for cgnet-bench: .onnx, .plan, .pth, openvino:cgnet.onnx"
    add("--engine", required=True, metavar="FILE", help=text)
    add("--ray", metavar="ADDRESS", help="a Ray cluster, such as auto or ray://host:10001 (default: this machine)")
    add("--workers", type=integer(1, 100_000), metavar="N", help="engines at once (default: all CPUs / threads)")
    add("--threads", type=integer(1, 1024), default=1, metavar="N", help="CPU threads of an engine (%(default)s)")
    add("--gpus", type=number(0, 64), default=0.0, metavar="N", help="GPUs of an engine, or a fraction (default 0)")
    text = "pictures that a worker takes at once (default %(default)s)"
    add("--batch", type=integer(1, 4096), default=16, metavar="N", help=text)
    text = "frame size in pixels, height first, where the engine leaves it open (default: the frame's own)"
    add("--res", type=res_argument, metavar="HxW", help=text)
    add_flags(parser, cache=True)
    return parser


def _label(args: argparse.Namespace) -> int:
    from cgnet_deploy.label.api import label_archive

    result = label_archive(
        args.input,
        args.output,
        args.engine,
        ray=args.ray,
        workers=args.workers,
        threads=args.threads,
        gpus=args.gpus,
        batch=args.batch,
        res=args.res,
        contract=args.contract,
        names=args.names,
        mean=args.mean,
        std=args.std,
        color=args.color,
        trust=args.trust,
        weights=args.weights,
        cache=args.cache,
    )
    earlier = f", {result.earlier} of them done earlier" if result.earlier else ""
    print(
        f"{args.output}  {result.items} pictures and videos{earlier}; {result.masks} masks, "
        f"{result.unreadable} not readable (index.parquet says why)"
    )
    if not result.masks:
        raise CgnetError(f"nothing of {args.input} could be read; {args.output}/index.parquet says why")
    return 0


if __name__ == "__main__":
    sys.exit(main())
