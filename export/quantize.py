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
from typing import Literal

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, kernel_and_bias
from cgnet_deploy.export.graph import MEANS, channels, constant, insert, operand, required, tidy, weights
from cgnet_deploy.export.ranges import LEVELS, storable
from cgnet_deploy.export.sites import IMAGE_CHANNELS

Storage = Literal["s8", "u8"]

ZERO: dict[Storage, np.int8 | np.uint8] = {"s8": np.int8(0), "u8": np.uint8(128)}
MOST_BIAS = 2.0**30


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
