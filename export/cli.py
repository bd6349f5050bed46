"""cgnet-export --ckpt model.pth --fp16

Checkpoint in; cgnet.onnx, cgnet.plan and their sidecars out, each verified against its parent.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.artifact import IO
from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.data.dataset import Dataset, fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.build import Profile, build_plan, choose_builder
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.export.calibration_data import LEAST_FRAMES, CalibrationFrames, calibration_frames
from cgnet_deploy.export.ranges import METHODS
from cgnet_deploy.export.score import Evaluate, scorer
from cgnet_deploy.export.targets import SCOPES, TARGETS
from cgnet_deploy.files import check_writable, replacing
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import MIN_SIDE_PX, Precision, Res
from cgnet_deploy.terminal import Parser, res_argument, run, triple_argument

log = logging.getLogger(__name__)

MAX_BATCH = 256
TRITON_BATCH = 8
VERIFY_PIXELS = 4 * 360 * 480  # what is compared at least: 4 frames of 360x480, one of 1024x2048
MAX_VERIFIED = 4
MAX_WATCHED = 1000
MAX_CALIBRATION = 4096
MAX_STEPS = 100_000


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
        choices=("none", "batch", "size", "both"),
        default="none",
        help="what the file leaves open; a plan then takes up to --batch frames of up to --res, and is tuned for those",
    )
    parser.add_argument(
        "--tensor-io", action="store_true", help="f32 NCHW in, logits out, not u8 BGR frames to u8 labels"
    )
    parser.add_argument("--target", choices=TARGETS, default="generic", help="the runtime to choose graph forms for")
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
    parser.add_argument("--builder", choices=("auto", "tensorrt", "rtx"), default="auto", help="who builds the plan")
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


def _export(given: argparse.Namespace) -> int:
    if given.batch is None:
        given.batch = TRITON_BATCH if given.triton else 1
    if given.triton:  # which batches requests by itself
        given.dynamic = {"none": "batch", "size": "both"}.get(given.dynamic, given.dynamic)
    _check(given)
    from cgnet_deploy.checkpoint.reading import load_checkpoint
    from cgnet_deploy.export.guard import guard
    from cgnet_deploy.export.pipeline import Int8, Request, prepare, write

    checkpoint = load_checkpoint(given.ckpt, contract=given.contract, mean=given.mean, std=given.std, color=given.color)
    res = given.res or checkpoint.spec.input.res
    io: IO = "tensor" if given.tensor_io else "frames"
    request = Request(
        given.precision,
        res,
        given.batch,
        given.dynamic,
        io,
        given.target,
        tuple(given.without),
        given.prune_dead,
        _watched(given, res),
        Int8(
            _calibration(given, res),
            given.calib_method,
            given.int8_scope,
            given.exclude,
            given.calib_cache,
            given.distill,
        )
        if given.precision is Precision.INT8
        else None,
    )
    evaluate = _scorer(given, checkpoint.spec.classes, res)
    prepared = prepare(checkpoint, request, _frames(given, res))
    exported, guarded = (
        guard(prepared, given.max_drop, evaluate, given.onnx) if evaluate else (write(prepared, given.onnx), None)
    )
    print(f"{given.onnx}  {given.precision.value}, {res.spelled()}, batch {given.batch}; {exported.fusion.summary()}")
    report: dict[str, Any] = {
        "schema": 1,
        "onnx": str(given.onnx),
        "engine": None,
        "precision": given.precision.value,
        "res": list(res),
        "batch": given.batch,
        "target": given.target,
        "fusion": exported.fusion.to_json(),
        "verify": exported.verification.to_json(),
        "kept_f32": list(exported.kept_f32),
    }
    if prepared.lowering.ranges is not None:
        int8 = prepared.lowering.to_json(frozenset(exported.kept_f32))
        print(f"{given.onnx}  {prepared.lowering.summary(frozenset(exported.kept_f32))}")
        report["int8"] = int8
    if guarded is not None:
        report["guard"] = guarded.to_json()
    if exported.pruning is not None:
        print(f"{given.onnx}  pruned: {exported.pruning.summary()}")
        report["pruning"] = exported.pruning.to_json()
    if given.deepstream:
        from cgnet_deploy.export.deepstream import write_deepstream

        print(write_deepstream(prepared, frozenset(exported.kept_f32), given.deepstream))
    plan: Path | None = None
    if not given.no_engine:
        # Not sooner: where nothing can build a plan, the ONNX file is kept.
        builder = choose_builder(given.builder)
        built = build_plan(
            given.onnx, given.engine, builder=builder, timing_cache=given.timing_cache, profile=_profile(given, res)
        )
        types = ", ".join(f"{count} {name}" for name, count in built.convolutions.items())
        print(
            f"{given.engine}  {built.builder} {built.version}, for {built.architecture}; convolutions by input: {types}"
        )
        report |= {
            "engine": str(given.engine),
            "builder": built.builder,
            "builder_version": built.version,
            "architecture": built.architecture,
            "convolutions": dict(built.convolutions),
        }
        plan = given.engine if builder == "tensorrt" else None  # the server has no TensorRT for RTX
    if given.triton:
        from cgnet_deploy.export.tritonserver import write_repository

        print("\n".join(write_repository(given.triton, exported.artifact, plan, batch=given.batch, res=res)))
    if given.json:
        with replacing(given.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _check(given: argparse.Namespace) -> None:
    """Raise UserError, before any work, for what could only fail later."""
    if not 1 <= given.batch <= MAX_BATCH:
        raise UsageError(f"--batch {given.batch} is not 1 to {MAX_BATCH} frames")
    if not 0 <= given.prune_images <= MAX_WATCHED:
        raise UsageError(f"--prune-images {given.prune_images} is not 0 to {MAX_WATCHED} frames")
    if given.prune_images and (not given.prune_dead or given.data is None):
        raise UsageError("--prune-images needs --prune-dead and --data")
    _check_precision(given)
    outputs = [
        path for path in (given.onnx, None if given.no_engine else given.engine, given.json, given.calib_cache) if path
    ]
    if len({path.resolve() for path in (given.ckpt, *outputs)}) <= len(outputs):
        raise UsageError("--ckpt, --onnx, --engine, --json and --calib-cache must be different files")
    for path in outputs:
        check_writable(path)
    for package, extra in (
        ("torch", "export"),
        ("onnx_ir", "export"),
        ("onnxscript", "export"),
        ("onnxruntime", "ort"),
    ):
        require(package, extra)
    from cgnet_deploy.export.fuse.rules import NAMES

    for name in given.without:
        if name not in NAMES:
            raise UsageError(f"--without {name}: there is no such rule; the rules are {', '.join(NAMES)}")


def _check_precision(given: argparse.Namespace) -> None:
    """Raise UsageError for flags of int8 and of the guard that don't go together."""
    int8 = given.precision is Precision.INT8
    for flag, value in (
        ("--calib-data", given.calib_data),
        ("--calib-cache", given.calib_cache),
        ("--exclude", given.exclude),
    ):
        if value is not None and not int8:
            raise UsageError(f"{flag} needs --int8")
    if given.distill and (not int8 or given.calib_data is None):
        raise UsageError("--distill needs --int8 and frames: --calib-data DIR")
    if not 0 <= given.distill <= MAX_STEPS:
        raise UsageError(f"--distill {given.distill} is not 0 to {MAX_STEPS} steps")
    if int8 and given.calib_data is None and given.calib_cache is None:
        raise UsageError("--int8 needs frames to calibrate on: --calib-data DIR, or an earlier run's --calib-cache")
    if int8 and given.calib_data is None and not given.calib_cache.is_file():
        raise UsageError(f"{given.calib_cache} is not there: the ranges of no earlier run; --calib-data makes them")
    if given.exclude is not None:
        try:
            re.compile(given.exclude)
        except re.error as error:
            raise UsageError(f"--exclude {given.exclude!r} is no regular expression: {error}") from None
    if not LEAST_FRAMES <= given.calib_images <= MAX_CALIBRATION:
        raise UsageError(f"--calib-images {given.calib_images} is not {LEAST_FRAMES} to {MAX_CALIBRATION} frames")
    if given.max_drop is None:
        return
    if given.precision is Precision.F32 or given.data is None:
        raise UsageError("--max-drop needs --fp16 or --int8, and labelled frames: --data")
    if not 0 <= given.max_drop <= 100:
        raise UsageError(f"--max-drop {given.max_drop:g} is not 0 to 100 points of mIoU")


def _calibration(given: argparse.Namespace, res: Res) -> CalibrationFrames | None:
    return None if given.calib_data is None else calibration_frames(given.calib_data, given.calib_images, res)


def _scorer(given: argparse.Namespace, classes: int, res: Res) -> Evaluate | None:
    if given.max_drop is None:
        return None
    return scorer(open_dataset(given.data, given.split), given.target, classes, res, given.batch)


def _frames(given: argparse.Namespace, res: Res) -> list[U8]:
    """Batches (N, H, W, 3) u8 BGR to verify on: real ones with --data, else drawn street scenes."""
    fitting = min(max(VERIFY_PIXELS // (given.batch * res.height * res.width), 1), MAX_VERIFIED)
    wanted = fitting * given.batch
    if given.data is None:
        log.info("verifying on drawn street scenes; --data verifies on yours")
        dataset = open_dataset(f"scenes:0:{res}", "val")
    else:
        dataset = open_dataset(given.data, given.split)
    return np.split(_spread(dataset, wanted, res), fitting)


def _watched(given: argparse.Namespace, res: Res) -> tuple[U8, ...]:
    """Frames that tell which channels never vary: none that the export is then verified on."""
    if not given.prune_images:
        return ()
    return tuple(_spread(open_dataset(given.data, "train"), given.prune_images, res)[:, None])


def _spread(dataset: Dataset, count: int, res: Res) -> U8:
    """(count, H, W, 3): frames from all over a data set."""
    return np.stack([fit_frame(dataset.frame(i * len(dataset) // count), res) for i in range(count)])


def _profile(given: argparse.Namespace, res: Res) -> Profile | None:
    """What a plan takes where the file leaves sizes open: one frame to --batch, the smallest size to --res."""
    if given.dynamic == "none":
        return None
    best = (given.batch, *res)
    least = (
        1 if given.dynamic in ("batch", "both") else given.batch,
        *((MIN_SIDE_PX, MIN_SIDE_PX) if given.dynamic in ("size", "both") else res),
    )
    return Profile(least, best, best)
