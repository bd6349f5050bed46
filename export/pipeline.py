"""Checkpoint -> traced -> fused -> f16 or int8 -> one ONNX file, each step verified against the one before it.

Two graphs of the same network go through the same steps: normalised tensors to logits, on which the steps are
verified, and frames to labels, whose labels are compared with the argmax of those logits. One of them is written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir
import torch

from cgnet_deploy.artifact import IO, Artifact, Shape, write_artifact
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.errors import AccuracyError, UsageError
from cgnet_deploy.export.choices import F16_SCALES, OPSET, Dynamic
from cgnet_deploy.export.constants import observe
from cgnet_deploy.export.fuse.rule import FusionReport, apply
from cgnet_deploy.export.fuse.rules import FOLD, Rules
from cgnet_deploy.export.half import out_of_range
from cgnet_deploy.export.int8 import Int8, int8_lowering
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.lower import NOTHING, Lowering
from cgnet_deploy.export.opset import finished
from cgnet_deploy.export.prune import PruneReport, prune_dead
from cgnet_deploy.export.qdq_check import faults
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.sites import sites
from cgnet_deploy.export.targets import Target
from cgnet_deploy.export.tiny import drop_tiny
from cgnet_deploy.export.trace import trace
from cgnet_deploy.export.verify import Verification, compare, demand, demand_labels
from cgnet_deploy.model import without_tiny
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import InputSpec, Precision, Res

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to make of a checkpoint.

    dynamic: which of (batch, size) the file leaves open. opset: of the file, None for the
    oldest that serves. without: names of rules to leave out.
    prune: whether dead channels are removed. watch: frames (N, H, W, 3) whose constant channels count as dead too.
    int8: how to quantise, with Precision.INT8 only.
    """

    precision: Precision
    res: Res
    batch: int
    dynamic: Dynamic
    io: IO
    target: Target
    opset: int | None = None
    without: tuple[str, ...] = ()
    prune: bool = False
    watch: tuple[U8, ...] = ()
    int8: Int8 | None = None

    @property
    def file_opset(self) -> int:
        """Raises UsageError for one that can't say what this precision needs."""
        f16_scales = self.precision is Precision.INT8 and self.target.fallback_precision is Precision.F16
        if self.opset is not None and self.opset < F16_SCALES and f16_scales:
            raise UsageError(f"int8 with f16 around it needs --opset {F16_SCALES} or newer, not {self.opset}")
        return self.opset or (F16_SCALES if f16_scales else OPSET)


@dataclass(frozen=True, slots=True)
class ExportedOnnx:
    """An ONNX file, what fusing and pruning did, and how far it is from the checkpoint in PyTorch.

    kept_f32: nodes that the range of f16, or the guard, kept in f32.
    """

    artifact: Artifact
    fusion: FusionReport
    pruning: PruneReport | None
    verification: Verification
    kept_f32: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fused f32 network, verified, and how to lower its precision: what every file of this export is made from.

    tensor_graph: normalised tensors to logits. frame_graph: frames to labels, None with io "tensor".
    frames, inputs: what to verify on, as frames and as normalised tensors. logits: PyTorch's, of those; fused_logits:
    the fused graph's.
    """

    checkpoint: Checkpoint
    request: Request
    tensor_graph: ir.Model
    frame_graph: ir.Model | None
    frames: Sequence[U8]
    inputs: Sequence[F32]
    logits: Sequence[F32]
    fused_logits: Sequence[F32]
    fusion: FusionReport
    pruning: PruneReport | None
    verification: Verification
    lowering: Lowering

    @property
    def shape(self) -> Shape:
        """(N, H, W) of the files, None where open."""
        dynamic, res = self.request.dynamic, self.request.res
        batch = None if dynamic in ("batch", "both") else self.request.batch
        return (batch, None, None) if dynamic in ("size", "both") else (batch, *res)

    @property
    def made_with(self) -> dict[str, str]:
        """Tool -> version, and what else decides the files' content."""
        return {
            "torch": torch.__version__,
            "onnx_ir": ir.__version__,
            "opset": str(self.request.file_opset),
            "target": self.request.target.name,
            **({"calibration": self.lowering.ranges.origin.summary()} if self.lowering.ranges else {}),
        }


def export_onnx(checkpoint: Checkpoint, request: Request, frames: Sequence[U8], path: Path) -> ExportedOnnx:
    """Write `path` and its sidecar, verified on `frames`, each (N, H, W, 3) u8 BGR of the request's size.

    Raises AccuracyError, and writes nothing, if a step changes what the network computes.
    """
    return write(prepare(checkpoint, request, frames), path)


def prepare(checkpoint: Checkpoint, request: Request, frames: Sequence[U8]) -> Prepared:
    """Trace, fuse, verify, and calibrate if it is for int8. Raises AccuracyError as `export_onnx` does."""
    spec = checkpoint.spec
    log.info(f"tracing {spec.name}, {spec.classes} classes, at {request.res.spelled()}, batch {request.batch}")
    model = without_tiny(checkpoint.model)
    tensor_graph = trace(model, request.res, batch=request.batch, dynamic=request.dynamic)
    inputs = [to_tensor(batch, spec.input) for batch in frames]
    with torch.inference_mode():
        logits: list[F32] = [model(torch.from_numpy(batch)).numpy() for batch in inputs]

    folding, pruning = _fold(tensor_graph, request, spec.input)
    frame_graph = tensor_graph.clone() if request.io == "frames" else None
    fusion = folding.then(_choose_forms(tensor_graph, request))
    step = "fused and pruned" if request.prune else "fused"
    content = finished(tensor_graph, request.file_opset)
    verification, fused_logits = _verified(logits, content, inputs, Precision.F32, step)
    lowering = _lowering(tensor_graph, checkpoint, request, inputs)
    if frame_graph is not None:
        take_frames(frame_graph, spec.input)
        give_labels(frame_graph, by_float=request.target.labels_by_float)
        fusion = folding.then(_choose_forms(frame_graph, request))
    return Prepared(
        checkpoint,
        request,
        tensor_graph,
        frame_graph,
        frames,
        inputs,
        logits,
        fused_logits,
        fusion,
        pruning,
        verification,
        lowering,
    )


def write(prepared: Prepared, path: Path, keep: frozenset[str] = NOTHING) -> ExportedOnnx:
    """Lower all but the convolutions named in `keep`, verify, and write. Raises as `export_onnx` does."""
    checkpoint, request, lowering = prepared.checkpoint, prepared.request, prepared.lowering
    graph = lowering.apply(prepared.tensor_graph, keep)
    content = finished(graph, request.file_opset)
    verification, logits = prepared.verification, prepared.fused_logits
    if request.precision is not Precision.F32:
        _check_pairs(graph, lowering)
        step = "halved" if request.precision is Precision.F16 else "quantised"
        verification, logits = _verified(prepared.logits, content, prepared.inputs, request.precision, step)
    if prepared.frame_graph is not None:
        content = finished(lowering.apply(prepared.frame_graph, keep), request.file_opset)
        demand_labels(logits, run_single(content, prepared.frames), request.precision)
    artifact = write_artifact(
        path,
        content,
        kind="onnx",
        precision=request.precision,
        spec=checkpoint.spec,
        io=request.io,
        shape=prepared.shape,
        parent_sha256=checkpoint.sha256,
        made_with=prepared.made_with,
    )
    kept = tuple(sorted(lowering.f16_overflow | keep))
    return ExportedOnnx(artifact, prepared.fusion, prepared.pruning, verification, kept)


def _check_pairs(graph: ir.Model, lowering: Lowering) -> None:
    """Raise AccuracyError if a Q/DQ pair stands where a runtime refuses it or leaves int8."""
    if wrong := faults(graph, lowering.storage, raw_results=lowering.raw_results):
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise AccuracyError(f"the Q/DQ pairs of the quantised graph are wrong: {wrong[0]}{more}; nothing was written")


def _lowering(tensor_graph: ir.Model, checkpoint: Checkpoint, request: Request, inputs: Sequence[F32]) -> Lowering:
    """How to go from the fused graph to the precision asked for."""
    if request.precision is Precision.F32:
        return Lowering(Precision.F32)
    if request.precision is Precision.F16:
        convs = sites(tensor_graph)
        overflow = out_of_range(tensor_graph, inputs)
        return Lowering(Precision.F16, convs, sum(site.macs for site in convs), f16_overflow=overflow)
    if request.int8 is None:
        raise UsageError("int8 needs to know how to quantise: Request.int8")
    f16 = request.target.fallback_precision is Precision.F16
    overflow = out_of_range(tensor_graph, inputs) if f16 else NOTHING
    lowering = int8_lowering(tensor_graph, checkpoint, request.target, request.int8, request.batch)
    return replace(lowering, f16_overflow=overflow)


def _fold(model: ir.Model, request: Request, spec: InputSpec) -> tuple[FusionReport, PruneReport | None]:
    """What comes before the target's forms, and is one for tensors and for frames: fold, and prune if asked for."""
    folded = apply(model, _chosen(FOLD, request))
    if not request.prune:
        return folded, None
    watched = observe(model, [to_tensor(frames, spec) for frames in request.watch]) if request.watch else {}
    return folded, prune_dead(model, request.target.block, watched, request.target.moves_channels)


def _choose_forms(model: ir.Model, request: Request) -> FusionReport:
    """The target's forms of what is left."""
    target = request.target
    fused = apply(model, _chosen(target.forms if request.int8 is None else target.int8_forms, request))
    drop_tiny(model)
    return fused


def _chosen(rules: Rules, request: Request) -> Rules:
    return tuple(rule for rule in rules if rule.name not in request.without)


def _verified(
    logits: Sequence[F32], content: bytes, inputs: Sequence[F32], precision: Precision, step: str
) -> tuple[Verification, list[F32]]:
    """How far the graph's logits are from `logits`, and they themselves; AccuracyError if that is too far."""
    own = run_single(content, inputs)
    verification = compare(logits, own)
    demand(verification, precision, step)
    log.info(
        f"{step}: argmax equal on {verification.argmax_agreement:.4%} of {verification.images} images, "
        f"max |d| {verification.max_abs_diff:.2g} at |logit| {verification.max_abs_logit:.3g}"
    )
    return verification, own
