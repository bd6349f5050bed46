"""Checkpoint -> traced -> fused -> f16 or int8 -> one ONNX file, each step verified against the one before it.

Two graphs of the same network go through the same steps: planes to logits, on which the steps are verified,
and frames to labels, whose labels are compared with the argmax of those logits. One of them is written.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir
import torch

from cgnet_deploy.artifact import IO, Artifact, Shape, write_artifact
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.export.calibrate import calibrate_all, rounding_bias
from cgnet_deploy.export.calibration_data import CalibrationFrames
from cgnet_deploy.export.choices import Dynamic, Method, Scope, TargetName
from cgnet_deploy.export.distill import crops, distill, recipe
from cgnet_deploy.export.fuse.rule import FusionReport, apply
from cgnet_deploy.export.fuse.rules import FOLD, FORMS, MULTIPLE, Rules
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.half import out_of_range
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.lower import NOTHING, Lowering
from cgnet_deploy.export.placement import PLACEMENTS, chosen
from cgnet_deploy.export.prune import PruneReport, observe, prune_dead
from cgnet_deploy.export.qdq_check import faults
from cgnet_deploy.export.quantize import sites
from cgnet_deploy.export.ranges_file import Made, Ranges, check_made_for, hash_of, read_ranges, write_ranges
from cgnet_deploy.export.raw_results import without_costly
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.trace import OPSET, trace
from cgnet_deploy.export.verify import Verification, compare, demand, demand_labels
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec, Precision, Res

log = logging.getLogger(__name__)


BIAS_FRAMES = 16  # of the calibration frames: a mean over their pixels is known well by then


@dataclass(frozen=True, slots=True)
class Int8:
    """How to quantise. frames: to calibrate on, None to take the ranges of `cache`, a file. exclude: see `chosen`.

    distill: steps of training on the frames, see distill.py.
    """

    frames: CalibrationFrames | None
    method: Method = "mse"
    scope: Scope = "most"
    exclude: str | None = None
    cache: Path | None = None
    distill: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What to make of a checkpoint.

    dynamic: which of (batch, size) the file leaves open. without: names of rules to leave out. prune: whether
    dead channels are removed. watch: frames (N, H, W, 3) whose constant channels count as dead too.
    """

    precision: Precision
    res: Res
    batch: int
    dynamic: Dynamic
    io: IO
    target: TargetName
    without: tuple[str, ...] = ()
    prune: bool = False
    watch: tuple[U8, ...] = ()
    int8: Int8 | None = None  # with Precision.INT8


@dataclass(frozen=True, slots=True)
class ExportedOnnx:
    """The file, what fusing and pruning did, and how far it is from the checkpoint in PyTorch."""

    artifact: Artifact
    fusion: FusionReport
    pruning: PruneReport | None
    verification: Verification
    kept_f32: tuple[str, ...]  # nodes that the range of f16, or the guard, kept in f32


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fused network, verified, and how to lower its precision: all that any file of this export is made from.

    planes: f32 planes to logits. whole: frames to labels, None where planes are wanted. truth: PyTorch's logits.
    tensors: the frames to verify on, as planes.
    """

    checkpoint: Checkpoint
    request: Request
    planes: ir.Model
    whole: ir.Model | None
    frames: Sequence[U8]
    tensors: Sequence[F32]
    truth: Sequence[F32]
    fusion: FusionReport
    pruning: PruneReport | None
    verification: Verification
    lowering: Lowering


def export_onnx(checkpoint: Checkpoint, request: Request, frames: Sequence[U8], path: Path) -> ExportedOnnx:
    """Write `path` and its sidecar, verified on `frames`, each (N, H, W, 3) u8 BGR of the request's size.

    Raises AccuracyError, and writes nothing, if a step changes what the network computes.
    """
    return write(prepare(checkpoint, request, frames), path)


def prepare(checkpoint: Checkpoint, request: Request, frames: Sequence[U8]) -> Prepared:
    """Trace, fuse, verify, and calibrate if it is for int8. Raises AccuracyError as `export_onnx` does."""
    spec = checkpoint.spec
    log.info(f"tracing {spec.name}, {spec.classes} classes, at {request.res.spelled()}, batch {request.batch}")
    planes = trace(checkpoint.model, request.res, batch=request.batch, dynamic=request.dynamic)
    whole = planes.clone() if request.io == "frames" else None
    tensors = [to_tensor(batch, spec.input) for batch in frames]
    with torch.inference_mode():
        truth: list[F32] = [checkpoint.model(torch.from_numpy(batch)).numpy() for batch in tensors]

    report, pruning = _fuse(planes, request, spec.input)
    found = _verified(truth, planes, tensors, Precision.F32, "fused and pruned" if request.prune else "fused")
    lowering = _lowering(planes, checkpoint, request, tensors)
    if whole is not None:
        take_frames(whole, spec.input)
        give_labels(whole)
        report, pruning = _fuse(whole, request, spec.input)
    return Prepared(checkpoint, request, planes, whole, frames, tensors, truth, report, pruning, found, lowering)


def write(prepared: Prepared, path: Path, keep: frozenset[str] = NOTHING) -> ExportedOnnx:
    """Lower all but the convolutions named in `keep`, verify, and write. Raises as `export_onnx` does."""
    checkpoint, request, lowering = prepared.checkpoint, prepared.request, prepared.lowering
    planes, found = prepared.planes, prepared.verification
    if request.precision is not Precision.F32:
        planes = lowering.apply(planes, keep)
        assert not (wrong := faults(planes, lowering.storage, results=lowering.results)), wrong
        step = "halved" if request.precision is Precision.F16 else "quantised"
        found = _verified(prepared.truth, planes, prepared.tensors, request.precision, step)
    content = serialise(planes)
    if prepared.whole is not None:
        logits = run_single(content, prepared.tensors)
        content = serialise(lowering.apply(prepared.whole, keep))
        demand_labels(logits, run_single(content, prepared.frames), request.precision)
    batch = None if request.dynamic in ("batch", "both") else request.batch
    height, width = (None, None) if request.dynamic in ("size", "both") else request.res
    shape: Shape = (batch, height, width)
    artifact = write_artifact(
        path,
        content,
        kind="onnx",
        precision=request.precision,
        spec=checkpoint.spec,
        io=request.io,
        shape=shape,
        parent_sha256=checkpoint.sha256,
        made_with={
            "torch": torch.__version__,
            "onnx_ir": ir.__version__,
            "opset": str(OPSET),
            "target": request.target,
            **({"calibration": lowering.ranges.made.summary()} if lowering.ranges else {}),
        },
    )
    return ExportedOnnx(artifact, prepared.fusion, prepared.pruning, found, tuple(sorted(lowering.loud | keep)))


def _lowering(planes: ir.Model, checkpoint: Checkpoint, request: Request, tensors: Sequence[F32]) -> Lowering:
    """How to go from the fused graph to the precision asked for."""
    if request.precision is Precision.F16:
        found = sites(planes)
        total = sum(site.macs for site in found)
        return Lowering(Precision.F16, found, total, loud=out_of_range(planes, tensors))
    int8 = request.int8
    if int8 is None:
        return Lowering(Precision.F32)
    placement = PLACEMENTS[request.target]
    lowering = Lowering(
        Precision.INT8,
        chosen(planes, int8.scope, int8.exclude),
        sum(site.macs for site in sites(planes)),
        storage=placement.storage,
        results=placement.results,
        trunk=int8.scope == "stored",
        rest=placement.rest,
        loud=out_of_range(planes, tensors) if placement.rest is Precision.F16 else NOTHING,
    )
    return lowering.calibrated(_ranges(planes, checkpoint, request, int8, lowering))


def _ranges(planes: ir.Model, checkpoint: Checkpoint, request: Request, int8: Int8, lowering: Lowering) -> Ranges:
    """The ranges of every convolution, whichever of them int8 takes: read from the cache if it has them."""
    graph = hashlib.sha256(serialise(planes)).hexdigest()
    frames = int8.frames
    wanted = Made(
        checkpoint.sha256,
        graph,
        hash_of(frames) if frames else "",
        len(frames or ()),
        int8.method,
        recipe(lowering, int8.distill) if int8.distill else "",
    )
    if int8.cache is not None and (int8.cache.exists() or frames is None):
        known = read_ranges(int8.cache)
        check_made_for(int8.cache, known.made, wanted)
        if not set(known.scales.reads) == set(known.bias) == {site.name for site in sites(planes)}:
            raise ArtifactError(f"{int8.cache} lacks ranges of some convolutions: remove it to calibrate anew")
        log.info(f"ranges of {known.made.summary()} from {int8.cache}")
        return known
    assert frames is not None
    names, spec = [site.name for site in sites(planes)], checkpoint.spec.input
    batches = -(-len(frames) // request.batch)
    scales = calibrate_all(
        planes,
        names,
        track(frames.batches(request.batch, spec), batches, "calibrating"),
        int8.method,
        results=lowering.results,
    )
    stride = max(len(frames) // BIAS_FRAMES, 1)
    moved = rounding_bias(planes, scales.reads, frames.batches(request.batch, spec, stride))
    ranges = Ranges(wanted, scales, moved)
    if lowering.results:
        ranges = without_costly(planes, replace(lowering, sites=sites(planes), ranges=ranges), crops(frames, spec))
    if int8.distill:
        ranges = distill(planes, lowering.calibrated(ranges), frames, spec, int8.distill)
    if int8.cache is not None:
        write_ranges(int8.cache, ranges)
    return ranges


def _fuse(model: ir.Model, request: Request, spec: InputSpec) -> tuple[FusionReport, PruneReport | None]:
    """Fold, prune if asked for, and choose the target's forms."""
    folded = apply(model, _chosen(FOLD, request))
    pruning = None
    if request.prune:
        frames = (
            request.watch if model.graph.inputs[0].name == "frames" else [to_tensor(f, spec) for f in request.watch]
        )
        pruning = prune_dead(model, MULTIPLE[request.target], observe(model, frames) if request.watch else {})
    forms = FORMS[request.target] if request.int8 is None else PLACEMENTS[request.target].forms
    return folded.then(apply(model, _chosen(forms, request))), pruning


def _chosen(rules: Rules, request: Request) -> Rules:
    return tuple(rule for rule in rules if rule.name not in request.without)


def _verified(
    truth: Sequence[F32], model: ir.Model, tensors: Sequence[F32], precision: Precision, step: str
) -> Verification:
    found = compare(truth, run_single(serialise(model), tensors))
    demand(found, precision, step)
    log.info(
        f"{step}: argmax equal on {found.argmax_agreement:.4%} of {found.images} images, "
        f"max |d| {found.max_abs_diff:.2g} at |logit| {found.max_abs_logit:.3g}"
    )
    return found
