"""An ONNX file of ours -> a plan, with TensorRT 10 or 11 on this machine's GPU, or with TensorRT for RTX anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cgnet_deploy.artifact import Artifact, read_artifact, write_artifact
from cgnet_deploy.engines.builders import choose_builder, gpu_to_build_on, rtx_target
from cgnet_deploy.engines.plan import ARCHITECTURE
from cgnet_deploy.engines.serialise import ShapeRange, serialised
from cgnet_deploy.engines.trtapi import PACKAGES, Builder, load_api, no_collection
from cgnet_deploy.engines.verifyplan import PlanVerification, verify_plan
from cgnet_deploy.errors import ArtifactError, UsageError

VERIFIED = "verified"  # its key in a plan's `made_with`


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A plan, what built it for which architecture, how it compares with its ONNX file, and the parsed network's
    convolutions by input type.

    convolutions: such as {"half": 78} or {"int8": 28, "half": 50}; the names are TensorRT's.
    """

    artifact: Artifact
    builder: Builder
    version: str
    architecture: str
    convolutions: Mapping[str, int]
    verification: PlanVerification


def build_plan(
    onnx: str | Path,
    plan: str | Path = "cgnet.plan",
    *,
    builder: Builder | Literal["auto"] = "auto",
    level: int | None = None,
    timing_cache: str | Path | None = None,
    workspace_mib: int | None = None,
    sizes: ShapeRange | None = None,
    verify: bool = True,
) -> BuiltPlan:
    """Build the ONNX file `onnx`, which needs its sidecar, into `plan`, which gets one.

    Where the plan can run, its labels are compared with the file's before it is kept; elsewhere result and sidecar say
    "not verified" and why.

    builder: "auto" is TensorRT where it and a GPU are, else TensorRT for RTX. level: how long TensorRT looks for faster
    kernels, 0 to 5; None for its own default, 3. timing_cache: a file of kernel timings, read if it exists and then
    written, which makes the next TensorRT build faster and reproducible; TensorRT for RTX has neither. workspace_mib:
    the most that a layer may use, None for all that the GPU has. sizes: required if, and only if, the file leaves sizes
    open. verify: False leaves the comparison out.

    Raises ArtifactError for a file that can't be used, EngineUnavailable where there is no GPU for TensorRT,
    UsageError for arguments that don't fit, CgnetError if the build fails, AccuracyError for a plan that gives other
    labels than its ONNX file.
    """
    source, plan = read_artifact(Path(onnx)), Path(plan)
    if source.kind != "onnx":
        raise ArtifactError(f"{onnx} is a {source.kind}, wanted an ONNX file")
    if sizes is None and None in source.shape:
        raise UsageError(f"{onnx} leaves sizes open: give sizes=ShapeRange(...), those that the plan must take")
    if sizes is not None and None not in source.shape:
        raise UsageError(f"{onnx} has a fixed size, which the plan takes too: leave sizes out")
    chosen = choose_builder(builder)
    if chosen == "rtx" and timing_cache is not None:
        raise UsageError("TensorRT for RTX has no timing cache; leave it out, or build with --builder tensorrt")
    if chosen == "rtx" and level is not None:
        raise UsageError(
            "TensorRT for RTX builds the same plan at every level: leave --builder-level out, or build with "
            "--builder tensorrt"
        )
    gpu = gpu_to_build_on() if chosen == "tensorrt" else None
    trt = load_api(chosen)
    architecture = gpu.architecture if gpu else rtx_target(trt)

    with no_collection():
        content, convolutions = serialised(
            trt,
            source,
            plan.name,
            architecture,
            level,
            None if timing_cache is None else Path(timing_cache),
            workspace_mib,
            sizes,
        )
    ends = (sizes.least, sizes.most) if sizes else (source.shape, source.shape)
    n, h, w = (least if least == most else None for least, most in zip(*ends, strict=True))
    write = partial(
        write_artifact,
        content=content,
        kind="plan",
        precision=source.precision,
        spec=source.spec,
        io=source.io,
        shape=(n, h, w),
        parent_sha256=source.sha256,
    )
    made_with = {PACKAGES[chosen]: trt.__version__, ARCHITECTURE: architecture}
    fed = tuple(side or 1 for side in source.shape) if sizes is None else sizes.best
    verification = PlanVerification(0, None, "not asked for")
    if verify:
        verification = verify_plan(partial(write, made_with=made_with), plan.name, source, fed)
    artifact = write(plan, parent=source.path, made_with=made_with | {VERIFIED: verification.summary()})
    return BuiltPlan(artifact, chosen, trt.__version__, architecture, convolutions, verification)
