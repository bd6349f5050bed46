"""A convolution over a concat as a sum of convolutions: W concat(x_1, x_2) + b = W_1 x_1 + (W_2 x_2 + b).

It spares the copy, and the odd widths of CGNet's joins (32 + 3, 64 + 64 + 3), which no blocked layout takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import convolution, groups_of, is_constant, kernel_and_bias, split
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, insert, operands, part_sizes, producer, replace


@dataclass(frozen=True, slots=True)
class Match:
    concat: ir.Node
    conv: ir.Node


def pattern(node: ir.Node) -> Match | None:
    concat = producer(node.inputs[0], "Concat") if node.op_type == "Conv" else None
    return Match(concat, node) if concat is not None and attribute(concat, "axis", 0) == 1 else None


def check(match: Match) -> str | None:
    if groups_of(match.conv) != 1 or not is_constant(match.conv):
        return f"{match.conv.name} is not a dense convolution with constant weights"
    if not all(part_sizes(match.concat)):
        return f"a part of {match.concat.name} has an unknown number of channels"
    return None


def rewrite(match: Match) -> None:
    kernel, bias = kernel_and_bias(match.conv)
    (first, *others), (kept, *kernels) = operands(match.concat), split(kernel, part_sizes(match.concat), axis=1)
    total = convolution(match.conv, match.conv, first, kept, bias)
    for x, part in zip(others, kernels, strict=True):
        total = insert(match.conv, "Add", [total, convolution(match.conv, match.conv, x, part, None)])
    replace(match.conv.outputs[0], total)


RULE = Rule("concat-conv", pattern, check, rewrite)
