"""A parsed ONNX file -> the bytes of a plan, by a builder's own API.

There is no precision option. Networks are strongly typed, so a plan computes in the types that its ONNX file
holds; how many convolutions really take each type is counted in the parsed network and reported.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgnet_deploy.artifact import Artifact
from cgnet_deploy.engines.base import input_sides
from cgnet_deploy.engines.plan import PORTABLE
from cgnet_deploy.engines.progress import watched
from cgnet_deploy.engines.trtapi import PACKAGES, Api, create, new_log
from cgnet_deploy.errors import ArtifactError, CgnetError, UsageError, one_line
from cgnet_deploy.files import replacing

if TYPE_CHECKING:
    import tensorrt
    import tensorrt_rtx

log = logging.getLogger(__name__)

Sizes = tuple[int, int, int]  # (N, H, W)


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Sizes (N, H, W) of a plan with open sides: the least and most that it takes, the best that it is tuned for."""

    least: Sizes
    best: Sizes
    most: Sizes


def serialised(
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
