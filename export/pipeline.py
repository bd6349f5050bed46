"""Checkpoint -> traced -> fused -> half -> one ONNX file, each step verified against the one before it.

Two graphs of the same network go through the same steps: planes to logits, on which the steps are verified,
and frames to labels, whose labels are compared with the argmax of those logits. One of them is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch

from cgnet_deploy.artifact import IO, Artifact, Shape, write_artifact
from cgnet_deploy.checkpoint import Checkpoint
from cgnet_deploy.export.frames import give_labels, take_frames
from cgnet_deploy.export.fuse.rule import FusionReport, apply
from cgnet_deploy.export.fuse.rules import FOLD, FORMS, MULTIPLE, Rules
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.half import out_of_range, to_half
from cgnet_deploy.export.prune import PruneReport, observe, prune_dead
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import Target
from cgnet_deploy.export.trace import OPSET, Dynamic, trace
from cgnet_deploy.export.verify import Verification, compare, demand, demand_labels
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import InputSpec, Precision, Res
from cgnet_deploy.terminal import say


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
    target: Target
    without: tuple[str, ...] = ()
    prune: bool = False
    watch: tuple[U8, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """The file, what fusing and pruning did, and how far it is from the checkpoint in PyTorch."""

    artifact: Artifact
    fusion: FusionReport
    pruning: PruneReport | None
    verification: Verification
    kept_f32: tuple[str, ...]  # nodes that the range of f16 kept in f32


def export_onnx(checkpoint: Checkpoint, request: Request, frames: Sequence[U8], path: Path) -> Exported:
    """Write `path` and its sidecar, verified on `frames`, each (N, H, W, 3) u8 BGR of the request's size.

    Raises AccuracyError, and writes nothing, if a step changes what the network computes.
    """
    spec = checkpoint.spec
    say(f"tracing {spec.name}, {spec.classes} classes, at {request.res.spelled()}, batch {request.batch}")
    planes = trace(checkpoint.model, request.res, batch=request.batch, dynamic=request.dynamic)
    whole = planes.clone()
    take_frames(whole, spec.input)
    give_labels(whole)
    tensors = [to_tensor(batch, spec.input) for batch in frames]
    with torch.inference_mode():
        truth: list[F32] = [checkpoint.model(torch.from_numpy(batch)).numpy() for batch in tensors]

    report, pruning = _fuse(planes, request, spec.input)
    found = _verified(truth, planes, tensors, Precision.F32, "fused and pruned" if request.prune else "fused")
    kept: frozenset[str] = frozenset()
    if request.precision is Precision.F16:
        kept = out_of_range(planes, tensors)
        to_half(planes, kept)
        found = _verified(truth, planes, tensors, Precision.F16, "halved")
    content = serialise(planes)
    if request.io == "frames":
        logits = run_single(content, tensors)
        report, pruning = _fuse(whole, request, spec.input)
        if request.precision is Precision.F16:
            to_half(whole, kept)
        content = serialise(whole)
        demand_labels(logits, run_single(content, frames), request.precision)
    batch = None if request.dynamic in ("batch", "both") else request.batch
    height, width = (None, None) if request.dynamic in ("size", "both") else request.res
    shape: Shape = (batch, height, width)
    artifact = write_artifact(
        path, content, kind="onnx", precision=request.precision, spec=spec, io=request.io, shape=shape,
        parent_sha256=checkpoint.sha256,
        made_with={
            "torch": torch.__version__, "onnx_ir": ir.__version__, "opset": str(OPSET), "target": request.target,
        },
    )  # fmt: skip
    return Exported(artifact, report, pruning, found, tuple(sorted(kept)))


def _fuse(model: ir.Model, request: Request, spec: InputSpec) -> tuple[FusionReport, PruneReport | None]:
    """Fold, prune if asked for, and choose the target's forms."""
    folded = apply(model, _chosen(FOLD, request))
    pruning = None
    if request.prune:
        frames = (
            request.watch if model.graph.inputs[0].name == "frames" else [to_tensor(f, spec) for f in request.watch]
        )
        pruning = prune_dead(model, MULTIPLE[request.target], observe(model, frames) if request.watch else {})
    return folded.then(apply(model, _chosen(FORMS[request.target], request))), pruning


def _chosen(rules: Rules, request: Request) -> Rules:
    return tuple(rule for rule in rules if rule.name not in request.without)


def _verified(
    truth: Sequence[F32], model: ir.Model, tensors: Sequence[F32], precision: Precision, step: str
) -> Verification:
    found = compare(truth, run_single(serialise(model), tensors))
    demand(found, precision, step)
    say(
        f"{step}: argmax equal on {found.argmax_agreement:.4%} of {found.images} images, "
        f"max |d| {found.max_abs_diff:.2g} at |logit| {found.max_abs_logit:.3g}"
    )
    return found
