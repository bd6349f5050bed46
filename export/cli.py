"""cgnet-export --ckpt model.pth --fp16

Checkpoint in; cgnet.onnx, cgnet.plan and their sidecars out, each verified against its parent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.export.choices import BUILDERS, DYNAMIC, LEVELS, METHODS, OPSET, OPSETS, SCOPES, TARGET_NAMES
from cgnet_deploy.files import write_json
from cgnet_deploy.spec import Precision
from cgnet_deploy.terminal import WEIGHTS, Parser, add_contract_flags, res_argument, run, show

if TYPE_CHECKING:
    from cgnet_deploy.export.exported import Exported


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 a step changed the network, 4 int8 is no faster."""
    return run(_parser(), _export, argv)


def _parser() -> Parser:
    """Each flag is an argument of `export` (its `dest` where the names differ), which has the defaults."""
    parser = Parser("cgnet-export", "Export a CGNet checkpoint to a verified ONNX file and a TensorRT plan.")
    parser.argument_default = argparse.SUPPRESS
    add = parser.add_argument
    add("--ckpt", type=Path, required=True, metavar="FILE", help="official, mmseg or own checkpoint")
    add("--weights", metavar="SET", help=WEIGHTS)
    precision = parser.add_mutually_exclusive_group()
    for flag, value, text in (
        ("--fp32", Precision.F32, "f32 (default)"),
        ("--fp16", Precision.F16, "f16, but for values outside its range"),
        ("--int8", Precision.INT8, "int8; needs --calib-data or --calib-cache"),
    ):
        precision.add_argument(
            flag, dest="precision", action="store_const", const=value, default=argparse.SUPPRESS, help=text
        )
    add("--res", type=res_argument, metavar="HxW", help="height x width in pixels; default: the contract's")
    add("--batch", type=int, metavar="N", help="frames per inference (default 1, with --triton 8)")
    text = "what the file leaves open; a plan then takes up to --batch frames of up to --res, and is tuned for those"
    add("--dynamic", choices=DYNAMIC, help=text)
    text = "take f32 NCHW and give logits, instead of u8 BGR frames and u8 labels"
    add("--tensor-io", dest="io", action="store_const", const="tensor", help=text)
    add("--target", choices=TARGET_NAMES, help="the runtime to optimise for (default generic)")
    add(
        "--opset",
        type=int,
        choices=OPSETS,
        help=f"opset of the file (default {OPSET}, or 19 for --int8 --target tensorrt); more runtimes read older ones",
    )
    add("--without", action="append", metavar="RULE", help="leave a fusion rule out; repeat it for several")
    text = "remove channels that the weights prove constant"
    add("--prune-dead", dest="prune", action="store_const", const=True, help=text)
    text = "with --prune-dead: also those that never vary on N frames of the train split of --data"
    add("--prune-images", type=int, metavar="N", help=text)
    text = "with --int8: frames to calibrate on, no labels: a folder of pictures, a data set (train), or scenes"
    add("--calib-data", metavar="DIR", help=text)
    add("--calib-images", type=int, metavar="N", help="use at most this many (default 128)")
    add("--calib-method", choices=METHODS, help="how ranges are chosen (default mse)")
    text = "where to keep the ranges; with those of an earlier run, no frames are needed"
    add("--calib-cache", type=Path, metavar="FILE", help=text)
    text = (
        "most: all but the image's, the depthwise and the classifier's convolutions (default); all: every "
        "convolution (default with --target native); stored: the residual additions read int8 too"
    )
    add("--int8-scope", choices=SCOPES, help=text)
    text = (
        "with --int8: train the int8 network to answer as in f32 on the frames of --calib-data, without labels; "
        "150 steps take a few minutes (default 0: none)"
    )
    add("--distill", type=int, metavar="STEPS", help=text)
    add("--exclude", metavar="REGEX", help="with --int8: convolutions to leave in higher precision")
    text = (
        "with --fp16 or --int8: keep what costs most in higher precision until the mIoU on --split of --data is at "
        "most this many points (0 to 100) below f32; exit with 3 if that is impossible"
    )
    add("--max-drop", type=float, metavar="POINTS", help=text)
    text = (
        "with --int8 and a CPU's --target: how many times as fast as the f32 file it must be on this machine (default "
        "1.02; 0 doesn't measure it); exit with 4 if it is not, and keep it as NAME.missed.onnx"
    )
    add("--min-speedup", type=float, metavar="X", help=text)
    add("--onnx", type=Path, default=Path("cgnet.onnx"), metavar="FILE", help="the ONNX file (default cgnet.onnx)")
    add("--engine", type=Path, default=Path("cgnet.plan"), metavar="FILE", help="the plan (default cgnet.plan)")
    add("--no-engine", dest="engine", action="store_const", const=None, help="write the ONNX file only")
    add("--builder", choices=BUILDERS, help="what builds the plan (default auto)")
    text = f"{LEVELS[0]} to {LEVELS[-1]}: how long TensorRT looks for faster kernels (default its own, 3)"
    add("--builder-level", type=int, metavar="N", help=text)
    add("--timing-cache", type=Path, metavar="FILE", help="reuse and extend a builder's timing cache")
    add("--data", metavar="DIR", help="verify on frames of this data set; default: drawn scenes")
    add("--split", help="which split of --data (default val)")
    add("--contract", choices=tuple(CONTRACTS), help="input contract, where the checkpoint's is missing or wrong")
    add_contract_flags(parser)
    text = "write a Triton model repository too; the batch is then left open (--dynamic)"
    add("--triton", type=Path, metavar="DIR", help=text)
    add("--deepstream", type=Path, metavar="DIR", help="write a DeepStream nvinfer folder too")
    text = "write a page too, which runs the network in a browser on its camera: a folder for any static server"
    add("--web", type=Path, metavar="DIR", help=text)
    text = "with --web: copy ONNX Runtime Web from its npm package in DIR, instead of naming a CDN's address"
    add("--web-runtime", type=Path, metavar="DIR", help=text)
    add("--json", type=Path, default=None, metavar="FILE", help="write what was done and measured as JSON")
    return parser


def export_as(words: Sequence[str]) -> Exported:
    """What the command does with these words, but for its log and its output. Raises as `export` does."""
    return _exported(_parser().parse_args(words))


def _exported(args: argparse.Namespace) -> Exported:
    from cgnet_deploy.export.api import export
    from cgnet_deploy.export.checks import check_outputs

    check_outputs(args.ckpt, args.onnx, args.engine, args.json, getattr(args, "calib_cache", None))
    return export(**{name: value for name, value in vars(args).items() if name not in ("json", "log_level")})


def _export(args: argparse.Namespace) -> int:
    json, exported = args.json, _exported(args)
    show(exported.summary(), json)
    if json:
        write_json(json, exported.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
