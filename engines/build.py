"""An ONNX file of ours -> a plan, with TensorRT 10 or 11 on this machine's GPU, or with TensorRT for RTX anywhere.

There is no precision option. Networks are strongly typed, so a plan computes in the types that its ONNX file
holds; how many convolutions really take each type is counted in the parsed network and reported.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cgnet_deploy.artifact import Artifact, read_artifact, write_artifact
from cgnet_deploy.engines.base import input_sides
from cgnet_deploy.engines.gpu import Gpu, find_gpu
from cgnet_deploy.engines.plan import ARCHITECTURE, PORTABLE
from cgnet_deploy.engines.progress import watched
from cgnet_deploy.engines.trtapi import (
    PACKAGES,
    RTX_PORTABLE,
    Api,
    Builder,
    create,
    is_installed,
    load_api,
    new_log,
    no_collection,
    rtx_architectures,
)
from cgnet_deploy.engines.verifyplan import PlanVerification, verify_plan
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, UsageError, UserError, one_line
from cgnet_deploy.files import replacing

if TYPE_CHECKING:
    import tensorrt
    import tensorrt_rtx

log = logging.getLogger(__name__)

VERIFIED = "verified"  # its key in a plan's `made_with`

Sizes = tuple[int, int, int]  # (N, H, W)


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Sizes (N, H, W) of a plan with open sides: the least and most that it takes, the best that it is tuned for."""

    least: Sizes
    best: Sizes
    most: Sizes


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

    builder: see `choose_builder`. level: how long TensorRT looks for faster kernels, 0 to 5; None for its own default,
    3. timing_cache: a file of kernel timings, read if it exists and then written, which makes the next TensorRT build
    faster and reproducible; TensorRT for RTX has neither. workspace_mib: the most that a layer may use, None
    for all that the GPU has. sizes: required if, and only if, the file leaves sizes open. verify: False leaves the
    comparison out.

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
    gpu = _gpu_to_build_on() if chosen == "tensorrt" else None
    trt = load_api(chosen)
    architecture = gpu.architecture if gpu else rtx_target(trt)

    with no_collection():
        content, convolutions = _serialised(
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


def choose_builder(builder: Builder | Literal["auto"]) -> Builder:
    """`builder`, or for "auto" TensorRT where it and a GPU are, else TensorRT for RTX where that is installed.

    TensorRT for RTX is not chosen beside a GPU that it doesn't run on. Raises UserError, saying what to install, where
    there is neither.
    """
    if builder != "auto":
        return builder
    gpu = None
    try:
        gpu = find_gpu()
        if is_installed("tensorrt"):
            return "tensorrt"
        missing = "TensorRT is not installed"
    except EngineUnavailable as error:
        missing = str(error)
    if is_installed("rtx"):
        if gpu and gpu.architecture not in (supported := rtx_architectures(load_api("rtx"))):
            raise UserError(
                f"no plan that runs here can be built: TensorRT for RTX runs on {', '.join(supported)}, this GPU "
                f"({gpu.name}) is {gpu.architecture}, and {missing}; pip install 'cgnet-deploy[trt]', or build for "
                "another machine: --builder rtx, or keep the ONNX file: --no-engine"
            )
        return "rtx"
    raise UserError(
        f"no plan can be built here: {missing}, and TensorRT for RTX, which needs no GPU to build, is not installed; "
        "install one with: pip install 'cgnet-deploy[trt]' or 'cgnet-deploy[rtx]', or keep the ONNX file: --no-engine"
    )


def rtx_target(trt: Api) -> str:
    """What TensorRT for RTX builds for here: PORTABLE, or this machine's GPU where no portable plan runs on it."""
    try:
        architecture = find_gpu().architecture
    except EngineUnavailable:
        return PORTABLE
    return PORTABLE if architecture in RTX_PORTABLE or architecture not in rtx_architectures(trt) else architecture


def probe(builder: Builder) -> str:
    """What builds plans, started: TensorRT needs a GPU to start on, TensorRT for RTX needs none."""
    if builder == "tensorrt":
        find_gpu()
    trt = load_api(builder)
    with no_collection():
        create(trt.Builder, new_log(trt))
    return f"{trt.__name__} {trt.__version__}"


def _gpu_to_build_on() -> Gpu:
    try:
        return find_gpu()
    except EngineUnavailable as error:
        raise EngineUnavailable(f"TensorRT can't build here: {error}; use --builder rtx, or --no-engine") from error


def convolution_types(trt: Api, network: tensorrt.INetworkDefinition) -> dict[str, int]:
    """How many convolutions of a parsed network take each type of input, most frequent first.

    One whose input and kernel both come out of int8 is "int8": a builder takes the two DequantizeLinear into it.
    """
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    dequantised = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}

    def kind(convolution: tensorrt.ILayer) -> str:
        x, kernel = convolution.get_input(0), convolution.get_input(1)  # a constant kernel is no tensor
        if x.name in dequantised and kernel is not None and kernel.name in dequantised:
            return "int8"
        return str(x.dtype.name).lower()

    return dict(Counter(kind(layer) for layer in layers if layer.type == trt.LayerType.CONVOLUTION).most_common())


def _serialised(
    trt: Api,
    source: Artifact,
    name: str,
    architecture: str,
    level: int | None,
    timing_cache: Path | None,
    workspace_mib: int | None,
    sizes: ShapeRange | None,
) -> tuple[bytes, dict[str, int]]:
    """The plan, and its network's convolutions by input type."""
    trt_log = new_log(trt)
    builder = create(trt.Builder, trt_log)
    network = _parse(trt, builder, source.path, trt_log)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # f32 has 24 bits here, as in the network that it is compared with
    if level is not None:
        config.builder_optimization_level = level
    if workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    if trt.__name__ == PACKAGES["rtx"]:
        _aim(trt, config, architecture, trt_log)
    if sizes is not None:
        _add_profile(builder, config, network, source, sizes, trt_log)
    if timing_cache is not None:
        _attach_timing_cache(config, timing_cache)
    with watched(trt, config, f"building {name}"):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CgnetError(f"{trt.__name__} can't build {source.path}: {trt_log.reason()}")
    if timing_cache is not None:
        with replacing(timing_cache) as temporary:
            temporary.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan), convolution_types(trt, network)


def _aim(trt: Api, config: tensorrt_rtx.IBuilderConfig, architecture: str, trt_log: Any) -> None:
    flags: type[tensorrt_rtx.BuilderFlag] = trt.BuilderFlag
    config.set_flag(flags.REQUIRE_USER_ALLOCATION)  # or no stream that runs it can be captured
    if architecture != PORTABLE:
        config.num_compute_capabilities = 1
        target = getattr(trt.ComputeCapability, architecture.replace("sm_", "SM"))
        if not config.set_compute_capability(target, 0):
            raise CgnetError(f"{trt.__name__} can't build for {architecture}: {trt_log.reason()}")


def _parse(trt: Api, builder: tensorrt.Builder, onnx: Path, trt_log: Any) -> tensorrt.INetworkDefinition:
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt_log)
    parsed = parser.parse(onnx.read_bytes())
    if parser.num_errors:
        error = parser.get_error(0)
        raise ArtifactError(
            f"{trt.__name__} can't read {onnx}: node {error.node_name() or error.node()} "
            f"({error.node_operator()}): {one_line(error.desc())}"
        )
    if not parsed or (network.num_inputs, network.num_outputs) != (1, 1):  # some garbage is an empty network
        raise ArtifactError(f"{trt.__name__} can't read {onnx}: not a network with one input and one output")
    return network


def _add_profile(
    builder: tensorrt.Builder,
    config: tensorrt.IBuilderConfig,
    network: tensorrt.INetworkDefinition,
    source: Artifact,
    sizes: ShapeRange,
    trt_log: Any,
) -> None:
    ends = (sizes.least, sizes.best, sizes.most)
    sides = zip(*ends, source.shape, strict=True)
    if not all(0 < least <= best <= most and (own is None or least == own == most) for least, best, most, own in sides):
        raise UsageError(f"{sizes} doesn't fit {source.path}, whose N, H, W are {source.shape}")
    profile = builder.create_optimization_profile()
    try:
        profile.set_shape(network.get_input(0).name, *(input_sides(source.io, end) for end in ends))
    except ValueError as error:
        raise UsageError(f"{sizes} doesn't fit {source.path}: {one_line(error)}") from error
    if config.add_optimization_profile(profile) < 0:
        raise UsageError(f"{sizes} doesn't fit {source.path}: {trt_log.reason()}")


def _attach_timing_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        log.info(f"{path} is a timing cache of another GPU or TensorRT; a new one is made")
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
