"""A fused f32 graph -> the same graph with its convolutions in int8, as QuantizeLinear and DequantizeLinear pairs.

    x -> Q(s_x) -> DQ(s_x) -> Conv -> ... -> PReLU -> Q -> DQ -> Conv
              W int8 -> DQ(s_W) -^   bias f32

TensorRT knows no other way, and ONNX Runtime and OpenVINO turn the pairs into integer kernels. Where they stand is all:

- on what a convolution reads, and nowhere else: a pair on a raw result, before its PReLU, costs four times as much
  accuracy as all others together (one stem convolution gives -7.4 to 2.5, and its PReLU -1.6 to 2.5) and keeps the
  PReLU from joining the convolution;
- weights with one scale per filter, max |w| / 127, floored: half of the official filters are dead, and theirs is zero;
- the bias stays f32: as int32 with scale s_x s_W it overflows for a third of all channels, and TensorRT refuses it;
- symmetric, zero point 0, or 128 where a runtime wants u8: the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, is_constant, is_depthwise, kernel_and_bias
from cgnet_deploy.export.graph import channels, constant, insert, tidy
from cgnet_deploy.export.prune import macs_of
from cgnet_deploy.export.ranges import LEVELS, storable

Role = Literal["image", "depthwise", "dense", "classifier"]
Storage = Literal["s8", "u8"]

ZERO: dict[Storage, np.int8 | np.uint8] = {"s8": np.int8(0), "u8": np.uint8(128)}


IMAGE_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """A convolution that can be quantised. macs: per image, 0 where the size is open."""

    name: str
    role: Role
    macs: int


def sites(model: ir.Model) -> tuple[Site, ...]:
    """The network's convolutions in order, without the averages of the image that some targets compute as such."""
    convs = [node for node in model.graph if node.op_type == "Conv" and is_constant(node) and not _averages(node)]
    first = _nearest(list(model.graph), {node: [v.producer() for v in node.inputs if v] for node in model.graph})
    last = _nearest(list(model.graph)[::-1], {n: [use.node for use in n.outputs[0].uses()] for n in model.graph})
    return tuple(Site(conv.name or "", _role(conv, first, last), macs_of(conv) or 0) for conv in convs)


def _averages(conv: ir.Node) -> bool:
    """Three channels in, three out: the image, halved."""
    return channels(conv.inputs[0]) == channels(conv.outputs[0]) == IMAGE_CHANNELS if conv.inputs[0] else False


def _nearest(nodes: list[ir.Node], neighbours: Mapping[ir.Node, list[ir.Node | None]]) -> set[ir.Node]:
    """The convolutions that no other one lies before, in the order of `nodes`."""
    met: set[ir.Node] = set()
    found: set[ir.Node] = set()
    for node in nodes:
        behind = any(other in met for other in neighbours[node])
        if behind or (node.op_type == "Conv" and not _averages(node)):
            met.add(node)
            found |= set() if behind else {node}
    return found


def _role(conv: ir.Node, first: set[ir.Node], last: set[ir.Node]) -> Role:
    if conv in first:
        return "image"
    if is_depthwise(conv):
        return "depthwise"
    return "classifier" if conv in last else "dense"


def quantize_weights(kernel: F64) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], F64]:
    """(C_out, ...) as int8, and the (C_out,) scales."""
    peak = np.abs(kernel).reshape(len(kernel), -1).max(1)
    scale = storable(peak / LEVELS).astype(np.float64)
    levels = np.rint(kernel / scale[:, None, None, None])
    return np.clip(levels, -LEVELS, LEVELS).astype(np.int8), scale


def quantize(model: ir.Model, scales: Mapping[str, float], storage: Storage = "s8") -> None:
    """Put int8 on the input and the weights of the convolutions that `scales` names, in place.

    scales: convolution -> the scale of what it reads.
    """
    pairs: dict[tuple[ir.Value, float], ir.Value] = {}
    for conv in list(model.graph):
        scale = scales.get(conv.name or "") if conv.op_type == "Conv" else None
        x = conv.inputs[0] if scale is not None else None
        if scale is None or x is None:
            continue
        if (x, scale) not in pairs:
            pairs[x, scale] = _pair(conv, x, scale, storage)
        conv.replace_input_with(0, pairs[x, scale])
        conv.replace_input_with(1, _stored(conv))
    tidy(model)


def _pair(anchor: ir.Node, x: ir.Value, scale: float, storage: Storage) -> ir.Value:
    """x through int8 and back."""
    name = x.name or anchor.name or "x"
    factor = constant(anchor, storable(scale), f"{name}.scale")
    zero = constant(anchor, np.asarray(ZERO[storage]), f"zero.{storage}")
    levels = insert(anchor, "QuantizeLinear", [x, factor, zero], name=f"{name}/Q")
    levels.type, levels.shape = ir.TensorType(zero.dtype or ir.DataType.INT8), x.shape
    back = insert(anchor, "DequantizeLinear", [levels, factor, zero], name=f"{name}/DQ")
    back.type, back.shape = ir.TensorType(ir.DataType.FLOAT), x.shape
    return back


def _stored(conv: ir.Node) -> ir.Value:
    """The kernel of `conv` as int8 and a scale for each filter."""
    kernel, _ = kernel_and_bias(conv)
    levels, scale = quantize_weights(kernel)
    name = f"{conv.name}.weight"
    stored = constant(conv, levels, f"{name}.int8")
    factor = constant(conv, scale.astype(np.float32), f"{name}.scale")
    zero = constant(conv, np.zeros(len(scale), np.int8), f"{name}.zero")
    back = insert(conv, "DequantizeLinear", [stored, factor, zero], name=f"{name}/DQ", axis=0)
    back.type, back.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(levels.shape)
    return back
