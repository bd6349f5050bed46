"""A fused graph of planes as a PyTorch function that can be trained, with int8 where the exported file will have it.

    fake(x, s) = s clamp(round(x / s), -128, 127)        what a pair of QuantizeLinear and DequantizeLinear computes

of what a convolution reads, and of its filters with s = max |w| / 127. Rounding has no slope, so its gradient is
passed through as if it were not there (straight-through; Bengio et al., arXiv 1308.3432), and with it the scale learns

    d fake / d s = round(x / s) - x / s   inside the range,   -128 or 127   outside      (LSQ, arXiv 1902.08153).

The graph is replayed node by node, so that the places are the file's by construction, in every target's form, pruned
or not: tests/export/test_distill.py holds the logits to ONNX Runtime's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.export.fuse.linear import F64, kernel_and_bias
from cgnet_deploy.export.graph import attribute, weights
from cgnet_deploy.export.ranges import LEVELS, storable


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What is learned, by convolution. log_scales: () of what it reads; those that read one value share the tensor."""

    kernels: Mapping[str, Tensor]
    biases: Mapping[str, Tensor]
    log_scales: Mapping[str, Tensor]


def weights_of(model: ir.Model, scales: Mapping[str, float], bias: Mapping[str, F64]) -> Weights:
    """The convolutions that `scales` names, as f32 leaves that start at the graph's own weights.

    bias: (C_out,) that is taken off their biases, see calibrate.correct.
    """
    kernels, biases, logs = {}, {}, {}
    by_value: dict[tuple[ir.Value | None, float], Tensor] = {}
    for conv in model.graph:
        name = conv.name or ""
        if conv.op_type == "Conv" and name in scales:
            kernel, own = kernel_and_bias(conv)
            key = (conv.inputs[0], scales[name])
            kernels[name], biases[name] = leaf(kernel), leaf(own - bias[name])
            logs[name] = by_value.setdefault(key, leaf(np.array(math.log(scales[name]))))
    return Weights(kernels, biases, logs)


def leaf(array: F64) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).requires_grad_()


def fake(x: Tensor, scale: Tensor) -> Tensor:
    """x in int8 and back. scale: broadcast against x; it learns if it requires a gradient."""
    levels = (x / scale).clamp(-LEVELS - 1, LEVELS)
    return scale * (levels + (levels.round() - levels).detach())


def stored_scale(wanted: Tensor) -> Tensor:
    """`wanted` as the file stores it (ranges.storable); its gradient is that of `wanted`."""
    stored = torch.from_numpy(storable(wanted.detach().numpy()))
    return wanted + (stored - wanted).detach()


class Replay:
    """planes (N, 3, H, W) -> the network's scores (N, K, H/8, W/8), the logits before they are resized.

    Any H and W: what a graph fixes is the size of its resized logits alone.
    """

    def __init__(self, model: ir.Model) -> None:
        self.nodes = [node for node in model.graph if node.op_type != "Resize"]
        self.source = model.graph.inputs[0]
        resize = model.graph.outputs[0].producer()
        assert resize is not None
        assert resize.op_type == "Resize"
        assert resize.inputs[0] is not None
        self.scores = resize.inputs[0]
        unknown = {node.op_type for node in self.nodes} - {*OPERATORS, "Conv"}
        assert not unknown, unknown
        self.constants = {
            value: torch.from_numpy(np.array(array))
            for node in self.nodes
            for value in node.inputs
            if value is not None and (array := weights(value)) is not None
        }

    def __call__(self, x: Tensor, learned: Weights | None = None) -> Tensor:
        """In f32, or with int8 on the convolutions of `learned`."""
        known = {**self.constants, self.source: x}
        rounded: dict[tuple[ir.Value | None, int], Tensor] = {}

        def in_int8(value: ir.Value, log_scale: Tensor) -> Tensor:
            key = (value, id(log_scale))
            if key not in rounded:
                rounded[key] = fake(known[value], stored_scale(log_scale.exp()))
            return rounded[key]

        for node in self.nodes:
            name = node.name or ""
            inputs = [known[value] for value in node.inputs if value is not None]
            if node.op_type != "Conv":
                y = OPERATORS[node.op_type](node, *inputs)
            elif learned is None or name not in learned.kernels:
                y = convolved(node, inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)
            else:
                source = node.inputs[0]
                assert source is not None
                read = in_int8(source, learned.log_scales[name])
                kernel = learned.kernels[name]
                peak = kernel.detach().abs().flatten(1).amax(1)
                scale = stored_scale(peak / LEVELS)[:, None, None, None]
                y = convolved(node, read, fake(kernel, scale), learned.biases[name])
            known[node.outputs[0]] = y
        return known[self.scores]


def convolved(node: ir.Node, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A Conv node on a kernel and a bias that need not be its own."""
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


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda node, a, b: a + b,
    "AveragePool": averaged,
    "Concat": lambda node, *parts: torch.cat(parts, 1),
    "Gemm": linear,
    "Max": lambda node, a, b: torch.maximum(a, b),
    "Min": lambda node, a, b: torch.minimum(a, b),
    "Mul": lambda node, a, b: a * b,
    "PRelu": lambda node, x, slope: torch.where(x < 0, slope * x, x),
    "ReduceMean": lambda node, x, axes: x.mean(tuple(axes.tolist()), bool(attribute(node, "keepdims", 1))),
    "Relu": lambda node, x: F.relu(x),
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Unsqueeze": lambda node, x, axes: x.reshape(*x.shape, 1) if axes.tolist() == [x.ndim] else x.unsqueeze(int(axes)),
}
