"""A graph of planes as a PyTorch function that can be trained: the fused f32 graph, and the int8 file made of it.

A pair of QuantizeLinear and DequantizeLinear computes

    fake(x, s) = s clamp(round(x / s), -128, 127)

Rounding has no slope, so its gradient is passed through as if it were not there (straight-through; Bengio et al.,
arXiv 1308.3432), and with it the scale learns

    d fake / d s = round(x / s) - x / s   inside the range,   -128 or 127   outside      (LSQ, arXiv 1902.08153).

The graph is replayed node by node, pairs and all, so that what is trained is the file by construction, in every
target's form and scope, pruned or not: tests/export/test_distill.py holds the scores to ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.export.fuse.resize_matmul import before_resize
from cgnet_deploy.export.graph import attribute, weights
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


class Replay:
    """planes (N, 3, H, W) -> the network's scores (N, K, H/8, W/8), the logits before they are resized.

    Any H and W: what a graph fixes is the size of its resized logits alone.
    """

    def __init__(self, model: ir.Model) -> None:
        self.source = model.graph.inputs[0]
        self.scores, resize = before_resize(model.graph.outputs[0])
        assert resize
        self.nodes = [node for node in model.graph if node not in resize]
        unknown = {node.op_type for node in self.nodes} - set(OPERATORS)
        assert not unknown, unknown
        self.constants = {
            value: torch.from_numpy(np.array(array))
            for node in self.nodes
            for value in node.inputs
            if value is not None and (array := weights(value)) is not None
        }

    def __call__(self, x: Tensor, given: Mapping[ir.Value, Tensor] = NOTHING) -> Tensor:
        """given: what values of the graph, constant or computed, are replaced by."""
        return self.values(x, given)[self.scores]

    def values(self, x: Tensor, given: Mapping[ir.Value, Tensor] = NOTHING) -> dict[ir.Value, Tensor]:
        """All that the graph computes."""
        known = {**self.constants, self.source: x, **given}
        for node in self.nodes:
            if node.outputs[0] not in given:
                inputs = [known[value] for value in node.inputs if value is not None]
                found = OPERATORS[node.op_type](node, *inputs)
                known.update(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        return known


def dequantised(node: ir.Node, levels: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Of a kernel, with a scale a filter, or of what `levels_of` made."""
    return levels * scale.reshape(-1, *[1] * (levels.ndim - 1)) if scale.ndim else levels * scale


def convolved(node: ir.Node, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    groups = attribute(node, "group", 1)
    assert isinstance(groups, int)
    return F.conv2d(x, kernel, bias, pair(node, "strides"), padding(node), pair(node, "dilations"), groups)


def averaged(node: ir.Node, x: Tensor) -> Tensor:
    assert attribute(node, "count_include_pad", 0) == 1
    return F.avg_pool2d(x, pair(node, "kernel_shape"), pair(node, "strides"), padding(node))


def pair(node: ir.Node, name: str) -> tuple[int, int]:
    """A node's sizes in height and width, 1 and 1 where it has none."""
    found = attribute(node, name, [1, 1])
    assert isinstance(found, Sequence)
    height, width = (int(size) for size in found)
    return height, width


def padding(node: ir.Node) -> tuple[int, int]:
    found = attribute(node, "pads", [0, 0, 0, 0])
    assert isinstance(found, Sequence)
    top, left, bottom, right = (int(size) for size in found)
    assert (top, left) == (bottom, right), "a padding of CGNet is the same on both sides"
    return top, left


def linear(node: ir.Node, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    assert attribute(node, "transB", 0) == 1
    return F.linear(x, kernel, bias)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Add": lambda node, a, b: a + b,
    "AveragePool": averaged,
    "Concat": lambda node, *parts: torch.cat(parts, 1),
    "Conv": convolved,
    "DequantizeLinear": dequantised,
    "Gemm": linear,
    "GlobalAveragePool": lambda node, x: x.mean((2, 3), keepdim=True),
    "Max": lambda node, a, b: torch.maximum(a, b),
    "Min": lambda node, a, b: torch.minimum(a, b),
    "Mul": lambda node, a, b: a * b,
    "PRelu": lambda node, x, slope: torch.where(x < 0, slope * x, x),
    "QuantizeLinear": lambda node, x, scale, zero: levels_of(x, scale),
    "ReduceMean": lambda node, x, axes: x.mean(tuple(axes.tolist()), bool(attribute(node, "keepdims", 1))),
    "Relu": lambda node, x: F.relu(x),
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Split": lambda node, x, sizes: torch.split(x, sizes.tolist(), 1),
    "Unsqueeze": lambda node, x, axes: x.reshape(*x.shape, 1) if axes.tolist() == [x.ndim] else x.unsqueeze(int(axes)),
}
