"""A tensor graph as a PyTorch function that can be trained: the fused f32 graph, and the int8 file made of it.

A pair of QuantizeLinear and DequantizeLinear computes

    fake(x, s) = s clamp(round(x / s), -128, 127)

Rounding has no slope, so its gradient is passed through as if it were not there (straight-through; Bengio et al.,
arXiv 1308.3432), and with it the scale learns

    d fake / d s = round(x / s) - x / s   inside the range,   -128 or 127   outside      (LSQ, arXiv 1902.08153).

The graph is replayed node by node, pairs and all, so that what is trained is the file by construction, in every
target's form and scope, pruned or not: tests/export/test_distill.py holds the scores to ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.export.fuse.linear import groups_of
from cgnet_deploy.export.fuse.pool_conv import is_fixed_divisor
from cgnet_deploy.export.fuse.resize_matmul import before_resize
from cgnet_deploy.export.graph import attribute, integers, operands, weights
from cgnet_deploy.export.ranges import LEVELS, storable

NOTHING: Mapping[ir.Value, Tensor] = {}


def levels_of(x: Tensor, scale: Tensor) -> Tensor:
    """x in steps of int8, as f32 integers, whatever the zero point. scale: broadcast against x."""
    levels = (x / scale).clamp(-LEVELS - 1, LEVELS)
    return levels + (levels.round() - levels).detach()


def fake(x: Tensor, scale: Tensor) -> Tensor:
    """x in int8 and back. scale: broadcast against x; it learns if it requires a gradient."""
    return scale * levels_of(x, scale)


def stored_scale(wanted: Tensor) -> Tensor:
    """`wanted` as the file stores it (ranges.storable); its gradient is that of `wanted`."""
    stored = torch.from_numpy(storable(wanted.detach().numpy()))
    return wanted + (stored - wanted).detach()


def behind(model: ir.Model, value: ir.Value) -> list[ir.Node]:
    """The nodes that `value` is computed by, in order: without those that compute an open graph's sizes."""
    nodes: list[ir.Node] = []
    needed: set[ir.Value | None] = {value}
    for node in reversed(model.graph):
        if needed.intersection(node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    return nodes[::-1]


class Replay:
    """(N, 3, H, W) normalised -> the network's scores (N, K, H/8, W/8), the logits before they are resized.

    Any H and W: what a graph fixes is the size of its resized logits alone.
    """

    def __init__(self, model: ir.Model) -> None:
        self.source = model.graph.inputs[0]
        self.scores = before_resize(model.graph.outputs[0])
        self.nodes = behind(model, self.scores)
        if unknown := {node.op_type for node in self.nodes} - set(OPERATORS):
            raise ValueError(f"a replay has no {', '.join(sorted(unknown))}: add it to OPERATORS in replay.py")
        self.constants = {
            value: torch.from_numpy(np.array(array))
            for node in self.nodes
            for value in operands(node)
            if (array := weights(value)) is not None
        }

    def __call__(self, x: Tensor, replaced: Mapping[ir.Value, Tensor] = NOTHING) -> Tensor:
        """replaced: tensors to use in place of values of the graph, constant or computed."""
        return self.values(x, replaced)[self.scores]

    def values(self, x: Tensor, replaced: Mapping[ir.Value, Tensor] = NOTHING) -> dict[ir.Value, Tensor]:
        """Every value of the graph."""
        known = {**self.constants, self.source: x, **replaced}
        for node in self.nodes:
            if node.outputs[0] not in replaced:
                results = OPERATORS[node.op_type](node, *(known[value] for value in operands(node)))
                known.update(zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True))
        return known


def dequantised(node: ir.Node, levels: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Of a kernel, with a scale a filter, or of what `levels_of` made."""
    return levels * scale.reshape(-1, *[1] * (levels.ndim - 1)) if scale.ndim else levels * scale


def convolved(node: ir.Node, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations = integers(node, "strides", [1, 1]), integers(node, "dilations", [1, 1])
    return F.conv2d(x, kernel, bias, strides, padding(node), dilations, groups_of(node))


def averaged(node: ir.Node, x: Tensor) -> Tensor:
    if not is_fixed_divisor(node):
        raise ValueError(f"{node.name} divides by fewer pixels at the border")
    return F.avg_pool2d(x, integers(node, "kernel_shape"), integers(node, "strides", [1, 1]), padding(node))


def padding(node: ir.Node) -> tuple[int, int]:
    top, left, bottom, right = integers(node, "pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise ValueError(f"{node.name} pads {top, left} before and {bottom, right} after: wanted the same")
    return top, left


def linear(node: ir.Node, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, kernel if attribute(node, "transB", 0) else kernel.T, bias)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Add": lambda node, a, b: a + b,
    "AveragePool": averaged,
    "Concat": lambda node, *parts: torch.cat(parts, 1),
    "Conv": convolved,
    "DequantizeLinear": dequantised,
    "Gemm": linear,
    "GlobalAveragePool": lambda node, x: x.mean((2, 3), keepdim=True),
    "Max": lambda node, a, b: torch.maximum(a, b),
    "Mul": lambda node, a, b: a * b,
    "PRelu": lambda node, x, slope: torch.where(x < 0, slope * x, x),
    "QuantizeLinear": lambda node, x, scale, zero: levels_of(x, scale),
    "ReduceMean": lambda node, x, axes: x.mean(tuple(axes.tolist()), bool(attribute(node, "keepdims", 1))),
    "Relu": lambda node, x: F.relu(x),
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Split": lambda node, x, sizes: torch.split(x, sizes.tolist(), 1),
    "Unsqueeze": lambda node, x, axes: x.reshape(*x.shape, 1) if axes.tolist() == [x.ndim] else x.unsqueeze(int(axes)),
}
