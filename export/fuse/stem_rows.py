"""CGNet's stem on even and odd rows apart, its dense 3x3 convolutions with 2/3 of their multiplications.

With x's rows 2i - 1 ... 2i + 2 as d_0 ... d_3 and a kernel's rows g_0, g_1, g_2, two rows of a convolution are
Winograd's F(2, 3) (Lavin and Gray, arXiv 1509.09308, section 4.1, along one axis):

    m_0 = g_0 (d_0 - d_2)                     y_2i   = m_0 + m_1 + m_2
    m_1 = (g_0 + g_1 + g_2) / 2 (d_1 + d_2)   y_2i+1 = m_1 - m_2 - m_3
    m_2 = (g_0 - g_1 + g_2) / 2 (d_2 - d_1)
    m_3 = g_2 (d_1 - d_3)

Even rows E = (d_1, next d_3) and odd rows O = (previous d_0, d_2) are tensors of their own from the image to the
convolution of stride 2 that ends the stem, so the differences are sums and small depthwise convolutions, and nothing
is ever interleaved. ONNX Runtime computes a stem convolution at the peak of the machine: only fewer multiplications
make it faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import (
    F64,
    groups_of,
    is_constant,
    is_depthwise,
    kernel_and_bias,
    own_bias,
    pointwise_depthwise,
)
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, constant, insert, operand, replace

Halves = tuple[ir.Value, ir.Value]  # even rows, odd rows

FEATURES = 16  # channels of a feature map at least: a convolution that reads fewer reads the image


@dataclass(frozen=True, slots=True)
class Match:
    """first: the convolution of stride 2 over the image. inside: what follows it, in order. why: what does not fit."""

    first: ir.Node
    inside: tuple[ir.Node, ...]
    why: str | None


def pattern(node: ir.Node) -> Match | None:
    if _stride(node) != 2 or node.inputs[0] is None or _reads(node) >= FEATURES:
        return None
    inside, why = _region(node)
    return Match(node, inside, why) if any(_stride(part) == 1 for part in inside) else None


def check(match: Match) -> str | None:
    shape = match.first.outputs[0].shape
    height = shape[2] if shape is not None and len(shape) == 4 else None
    if not isinstance(height, int):
        return f"{match.first.name} has no fixed height"
    if height % 2:
        return f"{match.first.name} makes an odd number of rows, {height}"
    return match.why


def rewrite(match: Match) -> None:
    halves = {match.first.outputs[0]: _first(match.first)}
    for node in match.inside:
        inputs = [halves[value] for value in node.inputs if value in halves]
        if _stride(node) == 2:
            replace(node.outputs[0], _last(node, inputs[0]))
        elif _stride(node) == 1:
            halves[node.outputs[0]] = _winograd(node, inputs[0])
        else:
            halves[node.outputs[0]] = _each(node, inputs)


def _region(first: ir.Node) -> tuple[tuple[ir.Node, ...], str | None]:
    """The nodes behind `first` up to convolutions of stride 2, in the graph's order, and why they can't be split."""
    values, inside = {first.outputs[0]}, list[ir.Node]()
    for node in first.graph or ():
        if not any(value in values for value in node.inputs):
            continue
        if _stride(node) is None and not _pointwise(node, values):
            return tuple(inside), f"{node.name} needs even and odd rows together"
        inside.append(node)
        if _stride(node) != 2:
            values.update(node.outputs)
    leaves = next((value.name for value in values if value.is_graph_output()), None)
    return tuple(inside), None if leaves is None else f"{leaves} leaves the graph"


def _stride(node: ir.Node) -> int | None:
    """Of a dense 3x3 convolution with constant weights, pads of 1 and no dilation; None for any other node."""
    if node.op_type != "Conv" or not is_constant(node) or groups_of(node) != 1:
        return None
    fits = (
        kernel_and_bias(node)[0].shape[2:] == (3, 3)
        and attribute(node, "pads", ()) == (1, 1, 1, 1)
        and attribute(node, "dilations", (1, 1)) == (1, 1)
    )
    strides = attribute(node, "strides", (1, 1))
    return next((stride for stride in (1, 2) if fits and strides == (stride, stride)), None)


def _reads(conv: ir.Node) -> int:
    """How many channels."""
    return int(kernel_and_bias(conv)[0].shape[1])


def _pointwise(node: ir.Node, values: set[ir.Value]) -> bool:
    """Whether `node` treats each pixel alone and reads, of what is computed, only `values`."""
    if node.op_type == "Conv":
        return is_constant(node) and is_depthwise(node) and kernel_and_bias(node)[0].shape[2:] == (1, 1)
    return node.op_type in ("Relu", "Add") and all(value in values for value in node.inputs)


def _first(node: ir.Node) -> Halves:
    """Stride 4 along the rows: output row 2i reads rows 4i - 1 ... 4i + 1, row 2i + 1 reads 4i + 1 ... 4i + 3."""
    kernel, bias = kernel_and_bias(node)
    later = np.pad(kernel, ((0, 0), (0, 0), (1, 0), (0, 0)))  # a row of zeros: pads can't be negative
    x = operand(node)
    return (
        _conv(node, x, kernel, bias, "even", strides=[4, 2], pads=[1, 1, 0, 1]),
        _conv(node, x, later, bias, "odd", strides=[4, 2], pads=[0, 1, 0, 1]),
    )


def _winograd(node: ir.Node, halves: Halves) -> Halves:
    even, odd = halves
    kernel, bias = kernel_and_bias(node)
    above, middle, below = (kernel[:, :, [row]] for row in range(3))
    both, turned = (above + middle + below) / 2, (above - middle + below) / 2
    pads = [0, 1, 0, 1]
    m_0 = _conv(node, _difference(node, odd, "d0-d2", top=1), above, None, "m0", pads=pads)
    m_1 = _conv(node, insert(node, "Add", [even, odd]), both, bias, "m1", pads=pads)
    m_2 = _conv(node, insert(node, "Add", [_minus(node, even, _reads(node)), odd]), turned, None, "m2", pads=pads)
    m_3 = _conv(node, _difference(node, even, "d1-d3", top=0), -below, None, "m3", pads=pads)
    return (
        insert(node, "Add", [m_0, insert(node, "Add", [m_1, m_2])]),
        insert(node, "Add", [m_3, insert(node, "Add", [_minus(node, m_2, len(kernel)), m_1])]),
    )


def _last(node: ir.Node, halves: Halves) -> ir.Value:
    """Row i of stride 2 reads rows 2i - 1, 2i and 2i + 1: O_i-1, E_i and O_i."""
    even, odd = halves
    kernel, bias = kernel_and_bias(node)
    part = _conv(node, even, kernel[:, :, [1]], bias, "even", strides=[1, 2], pads=[0, 1, 0, 1])
    rest = _conv(node, odd, kernel[:, :, [0, 2]], None, "odd", strides=[1, 2], pads=[1, 1, 0, 1])
    return insert(node, "Add", [part, rest])


def _each(node: ir.Node, inputs: list[Halves]) -> Halves:
    """A pointwise node on the even rows and on the odd ones."""
    if node.op_type == "Conv":
        kernel, bias = kernel_and_bias(node)
        groups = groups_of(node)
        shift = own_bias(node, bias)
        even, odd = (
            _conv(node, x, kernel, shift, label, groups=groups)
            for x, label in zip(inputs[0], ("even", "odd"), strict=True)
        )
        return even, odd
    even, odd = (insert(node, node.op_type, list(parts)) for parts in zip(*inputs, strict=True))
    return even, odd


def _difference(node: ir.Node, x: ir.Value, label: str, *, top: int) -> ir.Value:
    """Each row minus the next one: from the row of zeros above the first, or to the one below the last."""
    kernel = np.tile(np.array([1.0, -1.0])[:, None], (_reads(node), 1, 1, 1))
    return _conv(node, x, kernel, None, label, pads=[top, 0, 1 - top, 0], groups=_reads(node))


def _minus(node: ir.Node, x: ir.Value, count: int) -> ir.Value:
    """-x, as a convolution that takes the sum behind it into itself."""
    return pointwise_depthwise(node, x, -np.ones(count), None, f"{node.name}/minus")


def _conv(
    node: ir.Node,
    x: ir.Value,
    kernel: F64,
    bias: F64 | None,
    label: str,
    *,
    groups: int = 1,
    strides: list[int] | None = None,
    pads: list[int] | None = None,
) -> ir.Value:
    name = f"{node.name}/{label}"
    inputs = [x, constant(node, kernel.astype(np.float32), f"{name}.weight")]
    if bias is not None:
        inputs.append(constant(node, bias.astype(np.float32), f"{name}.bias"))
    return insert(
        node,
        "Conv",
        inputs,
        name=name,
        kernel_shape=list(kernel.shape[2:]),
        group=groups,
        strides=strides or [1, 1],
        pads=pads or [0] * 4,
    )


RULE = Rule("stem-rows", pattern, check, rewrite, int8=False)  # integers can't hold the sums
