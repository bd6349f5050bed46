"""A fused f32 graph -> the same graph with its convolutions in int8, as QuantizeLinear and DequantizeLinear pairs.

    x -> Q(s_x) -> DQ(s_x) -> Conv -> ... -> PReLU -> Q -> DQ -> Conv
              W int8 -> DQ(s_W) -^   bias f32

TensorRT takes int8 in no other form; ONNX Runtime and OpenVINO turn the pairs into integer kernels. What matters is
where they stand:

- on what a convolution reads, and nowhere else: a pair on a raw result, before its PReLU, costs accuracy (one stem
  convolution gives -7.4 to 2.5, and its PReLU -1.6 to 2.5) and keeps the PReLU from joining the convolution. ONNX
  Runtime alone wants it (`results`): its integer kernel is DQ, Conv, Q, and without the Q it computes in f32;
- where everything stored becomes int8 (`added`), all readers of such a value read the pair, and what is added to a
  residual trunk has a pair of its own; the global context keeps reading f32;
- weights with one scale per filter, max |w| / 127, floored: half of the official filters are dead, and theirs is zero;
- the bias stays f32: as int32 with scale s_x s_W it overflows for a third of all channels, and TensorRT refuses it;
- symmetric, zero point 0, or 128 where a runtime wants u8: the same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, is_constant, is_depthwise, kernel_and_bias
from cgnet_deploy.export.graph import (
    MEANS,
    channels,
    constant,
    global_context,
    insert,
    operand,
    required,
    sole_user,
    tidy,
    weights,
)
from cgnet_deploy.export.prune import macs_of
from cgnet_deploy.export.ranges import LEVELS, storable

Role = Literal["image", "depthwise", "dense", "classifier"]
Storage = Literal["s8", "u8"]

ZERO: dict[Storage, np.int8 | np.uint8] = {"s8": np.int8(0), "u8": np.uint8(128)}
IMAGE_CHANNELS = 3
MOST_BIAS = 2.0**30


@dataclass(frozen=True, slots=True)
class Site:
    """A convolution that can be quantised. macs: per image, 0 where the size is open."""

    name: str
    role: Role
    macs: int


def sites(model: ir.Model) -> tuple[Site, ...]:
    """The network's convolutions in order, without what some targets compute as such: averages, PReLUs and gates."""
    context = global_context(model)
    convs = [
        node
        for node in model.graph
        if node.op_type == "Conv" and is_constant(node) and not _is_form(node) and node not in context
    ]
    first = _nearest(list(model.graph), {node: [v.producer() for v in node.inputs if v] for node in model.graph})
    last = _nearest(list(model.graph)[::-1], {n: [use.node for use in n.outputs[0].uses()] for n in model.graph})
    return tuple(Site(conv.name or "", _role(conv, first, last), macs_of(conv) or 0) for conv in convs)


def _is_form(conv: ir.Node) -> bool:
    """Three channels in, three out: the image, halved. A factor a channel: a PReLU's, a norm's or a gate's."""
    ends = {channels(value) for value in (conv.inputs[0], conv.outputs[0]) if value is not None}
    kernel = weights(conv.inputs[1])
    return ends == {IMAGE_CHANNELS} or (kernel is not None and is_depthwise(conv) and kernel[0].size == 1)


def _nearest(nodes: list[ir.Node], neighbours: Mapping[ir.Node, list[ir.Node | None]]) -> set[ir.Node]:
    """The convolutions that no other one lies before, in the order of `nodes`."""
    met: set[ir.Node] = set()
    nearest: set[ir.Node] = set()
    for node in nodes:
        behind = any(other in met for other in neighbours[node])
        if behind or (node.op_type == "Conv" and not _is_form(node)):
            met.add(node)
            nearest |= set() if behind else {node}
    return nearest


def _role(conv: ir.Node, first: set[ir.Node], last: set[ir.Node]) -> Role:
    if conv in first and not _is_summand(conv):
        return "image"
    if is_depthwise(conv):
        return "depthwise"
    return "classifier" if conv in last else "dense"


def _is_summand(conv: ir.Node) -> bool:
    """Whether it is a part of a convolution over a concat, here the image's part (fuse/concat_conv.py)."""
    reader = sole_user(conv.outputs[0])
    return (
        reader is not None
        and reader.op_type == "Add"
        and not any(weights(value) is not None for value in reader.inputs)
    )


def quantize_weights(
    kernel: F64, least: F64 | float = 0.0
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], F64]:
    """(C_out, ...) as int8, and the (C_out,) scales, none below `least`."""
    peak = np.abs(kernel).reshape(len(kernel), -1).max(1)
    scale = storable(np.maximum(peak / LEVELS, least)).astype(np.float64)
    levels = np.rint(kernel / scale[:, None, None, None])
    return np.clip(levels, -LEVELS, LEVELS).astype(np.int8), scale


def quantize(
    model: ir.Model,
    scales: Mapping[str, float],
    storage: Storage = "s8",
    *,
    results: Mapping[str, float] | None = None,
    added: Mapping[str, float] | None = None,
) -> None:
    """Put int8 on the input and the weights of the convolutions that `scales` names, in place.

    scales: convolution -> the scale of what it reads. results: convolution -> the scale of its raw result, where that
    gets a pair too. added: node -> the scale of what it adds to a trunk (see `branches`), where everything that is
    stored gets one.
    """
    pairs: dict[tuple[ir.Value, float], ir.Value] = {}
    places = branches(model, scales) if added is not None else {}
    for conv in list(model.graph):
        scale = scales.get(conv.name or "") if conv.op_type == "Conv" else None
        x = conv.inputs[0] if scale is not None else None
        if scale is None or x is None:
            continue
        if (x, scale) not in pairs:
            pairs[x, scale] = _pair(conv, x, scale, storage)
        conv.replace_input_with(0, pairs[x, scale])
        conv.replace_input_with(1, _stored(conv, scale))
        if results is not None:
            _store_for_all(model, conv.outputs[0], results[conv.name or ""], storage)
    if added is not None:
        for (x, _), pair in pairs.items():
            if channels(x) != IMAGE_CHANNELS:  # the image is averaged as it came
                _read(x, pair)
        for node in list(model.graph):
            if node.name in places:
                branch = places[node.name]
                _store_for_all(model, branch, added[node.name], storage)
    tidy(model)


def branches(model: ir.Model, convs: Collection[str]) -> dict[str, ir.Value]:
    """Sum -> what it adds to a value that one of `convs` reads: the residual branches of a stage."""
    read = {node.inputs[0] for node in model.graph if node.op_type == "Conv" and node.name in convs}
    added: dict[str, ir.Value] = {}
    for node in model.graph:
        if node.op_type == "Add" and any(value in read for value in node.inputs):
            others = [value for value in node.inputs if value is not None and value not in read]
            if len(others) == 1 and weights(others[0]) is None:
                added[node.name or ""] = others[0]
    return added


def _store_for_all(model: ir.Model, x: ir.Value, scale: float, storage: Storage) -> None:
    """Let all that reads `x` read it through int8."""
    readers = {use.node for use in x.uses()}
    first = next((node for node in model.graph if node in readers), None)
    if first is not None:
        _read(x, _pair(first, x, scale, storage))


def _read(x: ir.Value, pair: ir.Value) -> None:
    back = required(pair.producer(), f"the pair of {x.name}")
    for use in list(x.uses()):
        if use.node is not operand(back).producer() and use.node.op_type not in MEANS:  # better taken in f32
            use.node.replace_input_with(use.idx, pair)


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


def _stored(conv: ir.Node, read_scale: float) -> ir.Value:
    """The kernel of `conv` as int8 and a scale for each filter."""
    kernel, bias = kernel_and_bias(conv)
    # ONNX Runtime makes an int32 of the bias, with scale s_x s_W: a dead filter's, with a live bias, would overflow it.
    levels, scale = quantize_weights(kernel, np.abs(bias) / (read_scale * MOST_BIAS))
    name = f"{conv.name}.weight"
    stored = constant(conv, levels, f"{name}.int8")
    factor = constant(conv, scale.astype(np.float32), f"{name}.scale")
    zero = constant(conv, np.zeros(len(scale), np.int8), f"{name}.zero")
    back = insert(conv, "DequantizeLinear", [stored, factor, zero], name=f"{name}/DQ", axis=0)
    back.type, back.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(levels.shape)
    return back
