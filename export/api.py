"""Export from Python: a checkpoint in; an ONNX file, a plan and their sidecars out, each verified against its parent.

    from cgnet_deploy.export.api import export

    exported = export("model.pth", "cgnet.onnx", precision="f16", res="1024x2048", target="tensorrt")
    print(exported.summary())

`cgnet-export` is the flags of this one call.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cgnet_deploy.artifact import IO, sidecar_path
from cgnet_deploy.checkpoint.unparsed import read_unparsed
from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.export.calibration_data import calibration_frames
from cgnet_deploy.export.checks import check_int8, check_max_drop, check_outputs, in_range, one_of
from cgnet_deploy.export.choices import (
    BUILDERS,
    DYNAMIC,
    LEVELS,
    METHODS,
    OPSET,
    OPSETS,
    SCOPES,
    BuilderName,
    Dynamic,
    Method,
    Scope,
    TargetName,
)
from cgnet_deploy.export.exported import Exported
from cgnet_deploy.export.frames import frames_to_verify, frames_to_watch
from cgnet_deploy.export.web.folder import check_web, write_web
from cgnet_deploy.places import check_folder, check_regular, check_writable
from cgnet_deploy.spec import MIN_SIDE_PX, Color, Precision, Res, Triple

if TYPE_CHECKING:  # torch and onnx_ir are optional, and slow to import
    from cgnet_deploy.engines.serialise import ShapeRange
    from cgnet_deploy.export.targets import Target

log = logging.getLogger(__name__)

MAX_BATCH = 256
TRITON_BATCH = 8
MAX_WATCHED = 1000


def export(
    ckpt: str | Path,
    onnx: str | Path = "cgnet.onnx",
    *,
    engine: str | Path | None = None,
    precision: Precision | str = Precision.F32,
    res: Res | str | None = None,
    batch: int | None = None,
    dynamic: Dynamic = "none",
    io: IO = "frames",
    target: TargetName | Target = "generic",
    opset: int | None = None,
    without: Sequence[str] = (),
    prune: bool = False,
    prune_images: int = 0,
    calib_data: str | Path | None = None,
    calib_images: int = 128,
    calib_method: Method = "mse",
    calib_cache: str | Path | None = None,
    int8_scope: Scope | None = None,
    exclude: str | None = None,
    distill: int = 0,
    max_drop: float | None = None,
    min_speedup: float | None = None,
    data: str | Path | None = None,
    split: str = "val",
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    weights: str | None = None,
    builder: BuilderName = "auto",
    builder_level: int | None = None,
    timing_cache: str | Path | None = None,
    triton: str | Path | None = None,
    deepstream: str | Path | None = None,
    web: str | Path | None = None,
    web_runtime: str | Path | None = None,
) -> Exported:
    """Export a checkpoint to `onnx`, and to a plan at `engine` if that is given. Files are replaced atomically.

    ckpt           official, mmsegmentation or own checkpoint
    precision      "f32", "f16" or "int8"
    res            "HxW" or Res; default: the size of the checkpoint's input contract
    batch          frames per inference; default 1, with `triton` 8
    dynamic        what the file leaves open: "none", "batch", "size" or "both"; a plan then takes up to `batch` frames
                   of up to `res`, and is tuned for those
    io             "frames": u8 BGR frames to u8 labels; "tensor": normalised f32 NCHW to logits
    target         the runtime to optimise the graph for, by name or as a Target of your own (targets.py)
    opset          of the file, 13 to 20: an older one is read by more runtimes. Default: 17, and 19 for int8 with f16
                   around it (target "tensorrt")
    without        fusion rules to leave out
    prune          remove channels that the weights prove constant; with `prune_images` N, also those that never vary
                   on N frames of the train split of `data`
    calib_data     int8: frames to calibrate on, no labels: a folder of pictures, a data set (train) or "scenes";
                   at most `calib_images` of them
    calib_method   int8: how ranges are chosen
    calib_cache    int8: a file to keep the ranges in, or to take them from instead of from frames
    int8_scope     int8: "most" convolutions, "all", or "stored": the residual additions read int8 too; default: the
                   target's
    exclude        int8: a regular expression; convolutions whose name it matches stay in higher precision
    distill        int8: steps of label-free training on the calibration frames
    max_drop       f16 and int8: keep what costs most in higher precision until the mIoU on `split` of `data` is at
                   most so many points (0 to 100) below f32
    min_speedup    int8 for a CPU target: how many times as fast as the f32 file it must be on this machine; default:
                   1.02 where that file can run here; 0 measures nothing
    data, split    verify on frames of this data set; default: drawn scenes
    contract, mean, std, color    the input contract, where the checkpoint has none or a wrong one
    names          a file of class names, one a line, each with its colour if you like, where the checkpoint has none
    weights        which of a checkpoint's sets of weights: see `load_checkpoint`
    builder, builder_level, timing_cache    see `build_plan`
    triton, deepstream            folders to write for those servers too; `triton`, and `deepstream` with a `batch` of
                   more than 1, open the batch
    web            a folder to write a page to, which runs the network in a browser, on its camera; it loads ONNX
                   Runtime Web from a CDN, or from a copy of the npm package in the folder `web_runtime`

    Raises UserError for arguments and files that can't be used, before any work; AccuracyError, leaving `onnx` as it
    was, if a step changes what the network computes or `max_drop` can't be met, and PerformanceError if `min_speedup`
    isn't (the best file is then beside it, as NAME.missed.onnx). The ONNX file is kept if only the plan can't be built
    (EngineUnavailable, CgnetError).
    """
    ckpt, onnx, engine = Path(ckpt), Path(onnx), _path(engine)
    calib_cache, triton, deepstream = _path(calib_cache), _path(triton), _path(deepstream)
    web, web_runtime = _path(web), _path(web_runtime)
    kind = Precision(one_of("--precision", precision, [p.value for p in Precision]))
    size = None if res is None else Res.of(res)
    for option, word, words in (
        ("--dynamic", dynamic, DYNAMIC),
        ("--opset", OPSET if opset is None else opset, OPSETS),
        ("--io", io, get_args(IO)),
        ("--calib-method", calib_method, METHODS),
        ("--int8-scope", int8_scope, (None, *SCOPES)),
        ("--builder", builder, BUILDERS),
        ("--builder-level", builder_level, (None, *LEVELS)),
        ("--contract", contract, (None, *CONTRACTS)),
        ("--color", color, (None, *get_args(Color))),
    ):
        one_of(option, word, words)
    if batch is None:
        batch = TRITON_BATCH if triton else 1
    if triton or (deepstream and batch > 1):  # they form batches themselves, of fewer frames too
        dynamic = {"none": "batch", "size": "both"}.get(dynamic, dynamic)  # type: ignore[assignment]
    in_range("--batch", batch, 1, MAX_BATCH)
    in_range("--prune-images", prune_images, 0, MAX_WATCHED)
    if prune_images and (not prune or data is None):
        raise UsageError("--prune-images needs --prune-dead and --data")
    check_int8(kind, calib_data, calib_images, calib_cache, exclude, distill)
    check_max_drop(kind, max_drop, data)
    check_outputs(ckpt, onnx, engine, calib_cache)
    for path in (onnx, engine):
        if path:
            check_regular(path)
            check_writable(sidecar_path(path))
    for folder in (triton, deepstream, web):
        if folder:
            check_folder(folder)
    page_runtime = check_web(web, web_runtime, io, batch, dynamic)
    read_unparsed(ckpt)  # before torch is imported, for a quick answer where it can't be used
    for package, extra in (("torch", "export"), ("onnx_ir", "export"), ("onnxruntime", "ort")):
        require(package, extra)
    from cgnet_deploy.checkpoint.reading import load_checkpoint
    from cgnet_deploy.export.guard import guard
    from cgnet_deploy.export.int8 import Int8
    from cgnet_deploy.export.lower import NOTHING
    from cgnet_deploy.export.pipeline import Request, prepare, write
    from cgnet_deploy.export.score import scorer
    from cgnet_deploy.export.speed import least, write_if_fast
    from cgnet_deploy.export.targets import RULE_NAMES, Target, target_named

    chosen = target if isinstance(target, Target) else target_named(target)
    least_speedup = least(min_speedup, kind, chosen)
    for name in without:
        one_of("--without", name, dict.fromkeys([*RULE_NAMES, *(rule.name for rule in chosen.forms)]))
    checkpoint = load_checkpoint(
        ckpt, contract=contract, names=names, mean=mean, std=std, color=color, res=size, weights=weights
    )
    size = size or checkpoint.spec.input.res
    int8 = None
    if kind is Precision.INT8:
        frames = None if calib_data is None else calibration_frames(str(calib_data), calib_images, size)
        int8 = Int8(frames, calib_method, int8_scope or chosen.scope, exclude, calib_cache, distill)
    watch = frames_to_watch(str(data), prune_images, size) if prune_images else ()
    request = Request(kind, size, batch, dynamic, io, chosen, opset, tuple(without), prune, watch, int8)
    evaluate = (
        None
        if max_drop is None
        else scorer(open_dataset(str(data), split), chosen, checkpoint.spec.classes, size, batch)
    )
    prepared = prepare(checkpoint, request, frames_to_verify(data, split, batch, size))
    keep, guarded = (NOTHING, None) if evaluate is None else guard(prepared, max_drop or 0.0, evaluate, onnx)
    if int8 is None or least_speedup == 0:
        written, found = write(prepared, onnx, keep), None
    else:
        written, found = write_if_fast(prepared, onnx, keep, least_speedup, insist=min_speedup is not None)
    log.info(f"{onnx} is written")  # and stays, should the plan fail
    kept = frozenset(written.kept_f32)
    folders: list[str] = []
    if deepstream:
        from cgnet_deploy.export.deepstream import write_deepstream

        folders.append(write_deepstream(prepared, kept, deepstream))
    plan = None
    if engine:
        from cgnet_deploy.engines.build import build_plan

        sizes = _plan_sizes(dynamic, batch, size)
        plan = build_plan(onnx, engine, builder=builder, level=builder_level, timing_cache=timing_cache, sizes=sizes)
    if triton:
        from cgnet_deploy.export.tritonserver import write_repository

        # the server has no TensorRT for RTX
        served = plan.artifact.path if plan is not None and plan.builder == "tensorrt" else None
        folders += write_repository(triton, written.artifact, served, batch=batch, res=size)
    if web and page_runtime:
        folders.append(write_web(web, written.artifact, size, page_runtime))
    return Exported(
        written.artifact,
        size,
        batch,
        chosen.name,
        written.fusion,
        written.verification,
        written.kept_f32,
        written.pruning,
        prepared.lowering.int8_report(kept),
        guarded,
        plan,
        tuple(folders),
        found,
    )


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _plan_sizes(dynamic: Dynamic, batch: int, res: Res) -> ShapeRange | None:
    """What a plan takes where the file leaves sizes open: one frame to `batch`, the smallest size to `res`."""
    from cgnet_deploy.engines.serialise import ShapeRange

    if dynamic == "none":
        return None
    least_batch = 1 if dynamic in ("batch", "both") else batch
    least_res = (MIN_SIDE_PX, MIN_SIDE_PX) if dynamic in ("size", "both") else res
    return ShapeRange((least_batch, *least_res), (batch, *res), (batch, *res))
