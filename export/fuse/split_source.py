"""A convolution whose result later meets a concat, as a concat of two convolutions by output channel.

    x + concat(y_1, y_2) = concat(x_1 + y_1, x_2 + y_2),  x = conv, perhaps times a gate

The down block feeds the residual trunk of its stage; split here, all of the trunk stays in halves and the
concat of every block sinks away (concat_sink.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import (
    convolution,
    groups_of,
    is_constant,
    is_scaling,
    kernel_and_bias,
    own_bias,
    split,
)
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, insert, operand, part_sizes, producer, replace


@dataclass(frozen=True, slots=True)
class Match:
    conv: ir.Node
    sizes: tuple[int, ...]


def pattern(node: ir.Node) -> Match | None:
    if node.op_type not in ("Add", "Mul"):
        return None
    for x, other in (node.inputs, reversed(node.inputs)):
        concat = producer(other, "Concat")
        conv = _source(x)
        if concat is not None and conv is not None and attribute(concat, "axis", 0) == 1:
            return Match(conv, part_sizes(concat))
    return None


def _source(value: ir.Value | None) -> ir.Node | None:
    """The convolution behind `value`, through a product with a gate in either form."""
    while (node := producer(value, "Mul", "Conv")) is not None and (node.op_type == "Mul" or is_scaling(node)):
        value = node.inputs[0]
    return producer(value, "Conv")


def check(match: Match) -> str | None:
    if groups_of(match.conv) != 1 or not is_constant(match.conv):
        return f"{match.conv.name} is not a dense convolution with constant weights"
    if sum(match.sizes) != len(kernel_and_bias(match.conv)[0]) or not all(match.sizes):
        return f"{match.conv.name} has other channels than what is added to it"
    return None


def rewrite(match: Match) -> None:
    conv = match.conv
    kernel, bias = kernel_and_bias(conv)
    parts = [
        convolution(conv, conv, operand(conv), k, own_bias(conv, b))
        for k, b in zip(split(kernel, match.sizes), split(bias, match.sizes), strict=True)
    ]
    replace(conv.outputs[0], insert(conv, "Concat", parts, axis=1))


RULE = Rule("split-source", pattern, check, rewrite)
