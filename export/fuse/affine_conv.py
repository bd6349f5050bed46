"""`s x + b` per channel as a depthwise 1x1 convolution, which ONNX Runtime keeps in its blocked layout.

CGNet has it at its joins, where a BatchNorm follows a residual sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, per_channel_constant, pointwise_depthwise
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import channels, operand, producer, replace, required, sole_user


@dataclass(frozen=True, slots=True)
class Match:
    product: ir.Node
    total: ir.Node
    affine: tuple[F64, F64] | None  # scale and shift, None if one is not constant


def pattern(node: ir.Node) -> Match | None:
    product = producer(node.inputs[0], "Mul") if node.op_type == "Add" else None
    if product is None:
        return None
    count = channels(node.outputs[0])
    scale, shift = (per_channel_constant(value, count) for value in (product.inputs[1], node.inputs[1]))
    if scale is None and shift is None:
        return None
    return Match(product, node, None if scale is None or shift is None else (scale, shift))


def check(match: Match) -> str | None:
    if match.affine is None:
        return f"{match.total.name} is not a constant scale and shift"
    if sole_user(match.product.outputs[0]) is None:
        return f"the product before {match.total.name} has another reader"
    return None


def rewrite(match: Match) -> None:
    scale, shift = required(match.affine, "the constant scale and shift")
    output = pointwise_depthwise(match.total, operand(match.product), scale, shift, match.total.name or "affine")
    replace(match.total.outputs[0], output)


RULE = Rule("affine-conv", pattern, check, rewrite)
