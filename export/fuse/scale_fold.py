"""A constant factor per channel moves up into the convolution that made the channels.

g PReLU(x) = PReLU(g x) for g > 0 (PReLU is positively homogeneous),   g (W x + b) = (g W) x + g b
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import (
    F64,
    convolution,
    kernel_and_bias,
    own_bias,
    per_channel_constant,
    scaled,
    split,
    why_not_foldable,
)
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, channels, insert, operand, producer, replace, sole_user


@dataclass(frozen=True, slots=True)
class Match:
    source: ir.Node
    product: ir.Node
    factor: F64


def pattern(node: ir.Node) -> Match | None:
    source = producer(node.inputs[0], "Conv", "PRelu", "Concat") if node.op_type == "Mul" else None
    factor = per_channel_constant(node.inputs[1], channels(node.outputs[0])) if source else None
    return Match(source, node, factor) if source is not None and factor is not None else None


def check(match: Match) -> str | None:
    source = match.source
    if source.op_type == "Conv":
        return why_not_foldable(source)
    if sole_user(source.outputs[0]) is None:
        return f"{source.name} has another reader"
    if source.op_type == "PRelu":
        return None if (match.factor > 0).all() else "a factor is not positive"
    convs = [producer(value, "Conv") for value in source.inputs]
    if attribute(source, "axis", 0) != 1 or not all(convs):
        return f"{source.name} is not a concat of convolutions"
    return next((reason for conv in convs if conv and (reason := why_not_foldable(conv))), None)


def rewrite(match: Match) -> None:
    source, product = match.source, match.product
    if source.op_type == "PRelu":
        moved = insert(product, "Mul", [operand(source), product.inputs[1]])
        moved.shape = operand(source).shape
        result = insert(product, "PRelu", [moved, source.inputs[1]], name=source.name or "")
    elif source.op_type == "Conv":
        result = _scaled(product, source, match.factor)
    else:
        convs = [conv for value in source.inputs if (conv := producer(value, "Conv"))]
        factors = split(match.factor, [len(kernel_and_bias(conv)[0]) for conv in convs])
        parts = [_scaled(product, *pair) for pair in zip(convs, factors, strict=True)]
        result = insert(product, "Concat", parts, name=source.name or "", axis=1)
    replace(product.outputs[0], result)


def _scaled(anchor: ir.Node, conv: ir.Node, factor: F64) -> ir.Value:
    kernel, bias = scaled(conv, factor, 0 * factor)
    return convolution(anchor, conv, operand(conv), kernel, own_bias(conv, bias))


RULE = Rule("scale-fold", pattern, check, rewrite)
