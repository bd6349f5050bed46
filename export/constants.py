"""What each channel of a feature map always is: one value on every pixel of every image, borders included, or varying.

The weights alone show it: a filter without weight gives its bias, and what is computed from constants alone is
constant, except through a padded convolution, whose zero border makes even a constant vary unless it is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import (
    F64,
    groups_of,
    is_constant,
    is_depthwise,
    kernel_and_bias,
    per_channel_constant,
)
from cgnet_deploy.export.graph import attribute, channels, integers, serialise
from cgnet_deploy.export.runtime import run_onnx

NO_WEIGHT = 1e-10  # of a folded filter: times any activation, below the rounding of what it is added to
STILL = 1e-6  # a range on the frames observed that counts as none


def constants(model: ir.Model, observed: dict[str, F64]) -> dict[ir.Value, F64]:
    """Value -> (C,) what each channel always is, NaN where it varies; values that are no feature maps are absent."""
    known: dict[ir.Value, F64] = {}
    for image in model.graph.inputs:
        if count := channels(image):
            known[image] = np.full(count, np.nan)
    for node in model.graph:
        count = channels(node.outputs[0])
        if count is None:
            continue
        proven = _constant_output(node, known)
        result = np.full(count, np.nan) if proven is None else proven
        seen = observed.get(node.outputs[0].name or "")
        known[node.outputs[0]] = result if seen is None else np.where(np.isnan(result), seen, result)
    return known


def observe(model: ir.Model, inputs: Sequence[npt.NDArray[np.generic]]) -> dict[str, F64]:
    """Value name -> (C,) what each channel of a feature map was on every pixel of `inputs`, NaN where it varied."""
    probe = model.clone()
    axes = ir.node("Constant", [], {"value_ints": [0, 2, 3]})
    values = [
        node.outputs[0] for node in probe.graph if channels(node.outputs[0]) and len(node.outputs[0].shape or ()) == 4
    ]
    probe.graph.append(axes)
    for value in values:
        for op in ("ReduceMax", "ReduceMin"):
            extreme = ir.node(op, [value, axes.outputs[0]], {"keepdims": 0})
            probe.graph.append(extreme)
            extreme.outputs[0].type = value.type
            probe.graph.outputs.append(extreme.outputs[0])
    runs = [outputs[1:] for outputs in run_onnx(serialise(probe), inputs)]
    high = [np.max([run[2 * i] for run in runs], axis=0).astype(np.float64) for i in range(len(values))]
    low = [np.min([run[2 * i + 1] for run in runs], axis=0).astype(np.float64) for i in range(len(values))]
    return {
        value.name or "": np.where(top - bottom <= STILL, (top + bottom) / 2, np.nan)
        for value, top, bottom in zip(values, high, low, strict=True)
    }


def _constant_output(node: ir.Node, known: dict[ir.Value, F64]) -> F64 | None:
    inputs = [known.get(value) if value is not None else None for value in node.inputs]
    if node.op_type == "Conv" and inputs[0] is not None and is_constant(node):
        return _through_conv(node, inputs[0])
    if node.op_type == "Concat" and attribute(node, "axis", 0) == 1:
        parts = [part for part in inputs if part is not None]
        return np.concatenate(parts) if len(parts) == len(inputs) else None
    if node.op_type == "Add" and inputs[0] is not None and inputs[1] is not None:
        return inputs[0] + inputs[1]
    if node.op_type not in ("PRelu", "Mul", "Add") or inputs[0] is None:
        return None
    x, factor = inputs[0], per_channel_constant(node.inputs[1], len(inputs[0]))
    if factor is None:
        return None
    if node.op_type == "Mul":
        return np.where(np.abs(factor) < NO_WEIGHT, 0, x * factor)
    return x + factor if node.op_type == "Add" else np.where(x < 0, factor * x, x)


def _through_conv(conv: ir.Node, x: F64) -> F64 | None:
    kernel, bias = kernel_and_bias(conv)
    if is_depthwise(conv):
        kernel = np.eye(len(kernel))[:, :, None, None] * kernel
    elif groups_of(conv) != 1:
        return None
    live = np.abs(kernel).max((2, 3)) >= NO_WEIGHT  # (out, in)
    varies = np.isnan(x) | (is_padded(conv) & (x != 0))
    result = bias + (kernel.sum((2, 3)) * live) @ np.where(np.isnan(x), 0, x)
    return np.where((live & varies).any(1), np.nan, result)


def is_padded(conv: ir.Node) -> bool:
    return any(integers(conv, "pads"))
