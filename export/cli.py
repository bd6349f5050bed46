"""cgnet-export --ckpt model.pth --fp16

Checkpoint in; cgnet.onnx, cgnet.plan and their sidecars out, each verified against its parent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.export.api import check_outputs, export
from cgnet_deploy.export.choices import BUILDERS, DYNAMIC, METHODS, SCOPES, TARGET_NAMES
from cgnet_deploy.files import write_json
from cgnet_deploy.spec import Precision
from cgnet_deploy.terminal import Parser, res_argument, run, triple_argument


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 a step changed what the network computes."""
    return run(_parser(), _export, argv)


def _parser() -> Parser:
    parser = Parser("cgnet-export", "A CGNet checkpoint to a verified ONNX file and a TensorRT plan.")
    parser.add_argument("--ckpt", type=Path, required=True, metavar="FILE", help="official, mmseg or own checkpoint")
    precision = parser.add_mutually_exclusive_group()
    for flag, value in (("--fp32", Precision.F32), ("--fp16", Precision.F16), ("--int8", Precision.INT8)):
        precision.add_argument(flag, dest="precision", action="store_const", const=value, default=Precision.F32)
    parser.add_argument(
        "--res", type=res_argument, metavar="HxW", help="height x width in pixels; default: the contract's"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="frames per inference (default 1, with --triton 8)")
    parser.add_argument(
        "--dynamic",
        choices=DYNAMIC,
        default="none",
        help="what the file leaves open; a plan then takes up to --batch frames of up to --res, and is tuned for those",
    )
    parser.add_argument(
        "--tensor-io", action="store_true", help="f32 NCHW in, logits out, not u8 BGR frames to u8 labels"
    )
    parser.add_argument("--target", choices=TARGET_NAMES, default="generic", help="the runtime to optimise for")
    parser.add_argument(
        "--without", action="append", default=[], metavar="RULE", help="leave a fusion rule out (repeat)"
    )
    parser.add_argument("--prune-dead", action="store_true", help="remove channels that the weights prove constant")
    parser.add_argument(
        "--prune-images",
        type=int,
        default=0,
        metavar="N",
        help="with --prune-dead: also those that never vary on N frames of the train split of --data",
    )
    parser.add_argument(
        "--calib-data",
        metavar="DIR",
        help="with --int8: frames to calibrate on, no labels: a folder of pictures, a data set (train), or scenes",
    )
    parser.add_argument("--calib-images", type=int, default=128, metavar="N", help="of them at most (default 128)")
    parser.add_argument("--calib-method", choices=METHODS, default="mse", help="how ranges are chosen (default mse)")
    parser.add_argument(
        "--calib-cache",
        type=Path,
        metavar="FILE",
        help="keep the ranges, or use those of an earlier run without frames",
    )
    parser.add_argument(
        "--int8-scope",
        choices=SCOPES,
        default="most",
        help="most: but the image's, the depthwise and the classifier's convolutions (default); all: every "
        "convolution; stored: the residual additions read int8 too",
    )
    parser.add_argument(
        "--distill",
        type=int,
        default=0,
        metavar="STEPS",
        help="with --int8: let the int8 network learn to be its f32 self on the frames of --calib-data, without "
        "labels; 150 steps take a few minutes (default 0: none)",
    )
    parser.add_argument("--exclude", metavar="REGEX", help="with --int8: convolutions to leave in higher precision")
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="with --fp16 or --int8: keep what costs most in higher precision until the mIoU on --split of --data is "
        "at most so many points (0 to 100) below f32; exit with 3 where that can't be",
    )
    parser.add_argument("--onnx", type=Path, default=Path("cgnet.onnx"), metavar="FILE")
    parser.add_argument("--engine", type=Path, default=Path("cgnet.plan"), metavar="FILE")
    parser.add_argument("--no-engine", action="store_true", help="write the ONNX file only")
    parser.add_argument("--builder", choices=BUILDERS, default="auto", help="who builds the plan")
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help="reuse and extend a builder's timing cache")
    parser.add_argument("--data", metavar="DIR", help="verify on frames of this data set; default: drawn scenes")
    parser.add_argument("--split", default="val", help="which split of --data (default val)")
    parser.add_argument("--contract", choices=tuple(CONTRACTS), help="input contract, where the checkpoint's is wrong")
    parser.add_argument("--mean", type=triple_argument, metavar="A,B,C", help="0-255 scale, in the order of --color")
    parser.add_argument("--std", type=triple_argument, metavar="A,B,C", help="0-255 scale, in the order of --color")
    parser.add_argument("--color", choices=("rgb", "bgr"), help="the order in which the network reads channels")
    parser.add_argument(
        "--triton", type=Path, metavar="DIR", help="write a Triton model repository too; it opens the batch (--dynamic)"
    )
    parser.add_argument("--deepstream", type=Path, metavar="DIR", help="write a DeepStream nvinfer folder too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was done and measured")
    return parser


def _export(args: argparse.Namespace) -> int:
    engine = None if args.no_engine else args.engine
    check_outputs(args.ckpt, args.onnx, engine, args.json, args.calib_cache)
    exported = export(
        args.ckpt,
        args.onnx,
        engine=engine,
        precision=args.precision,
        res=args.res,
        batch=args.batch,
        dynamic=args.dynamic,
        io="tensor" if args.tensor_io else "frames",
        target=args.target,
        without=args.without,
        prune=args.prune_dead,
        prune_images=args.prune_images,
        calib_data=args.calib_data,
        calib_images=args.calib_images,
        calib_method=args.calib_method,
        calib_cache=args.calib_cache,
        int8_scope=args.int8_scope,
        exclude=args.exclude,
        distill=args.distill,
        max_drop=args.max_drop,
        data=args.data,
        split=args.split,
        contract=args.contract,
        mean=args.mean,
        std=args.std,
        color=args.color,
        builder=args.builder,
        timing_cache=args.timing_cache,
        triton=args.triton,
        deepstream=args.deepstream,
    )
    print(exported.summary())
    if args.json:
        write_json(args.json, exported.to_json())
    return 0
