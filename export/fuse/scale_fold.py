"""A constant factor per channel moves up into the convolution that made the channels.

g PReLU(x) = PReLU(g x) for g > 0 (PReLU is positively homogeneous),   g (W x + b) = (g W) x + g b
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.affine_conv import per_channel_constant
from cgnet_deploy.export.fuse.linear import F64, convolution, scaled, why_not_foldable
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import channels, insert, producer, replace, sole_user


@dataclass(frozen=True, slots=True)
class Match:
    source: ir.Node
    product: ir.Node
    factor: F64


def pattern(node: ir.Node) -> Match | None:
    source = producer(node.inputs[0], "Conv", "PRelu") if node.op_type == "Mul" else None
    factor = per_channel_constant(node.inputs[1], channels(node.outputs[0])) if source else None
    return Match(source, node, factor) if source is not None and factor is not None else None


def check(match: Match) -> str | None:
    if match.source.op_type == "Conv":
        return why_not_foldable(match.source)
    if sole_user(match.source.outputs[0]) is None:
        return f"{match.source.name} has another reader"
    return None if (match.factor > 0).all() else "a factor is not positive"


def rewrite(match: Match) -> None:
    source, product = match.source, match.product
    x = source.inputs[0]
    assert x is not None
    if source.op_type == "Conv":
        kernel, bias = scaled(source, match.factor, 0 * match.factor)
        result = convolution(product, source, x, kernel, bias if len(source.inputs) > 2 else None)
    else:
        moved = insert(product, "Mul", [x, product.inputs[1]])
        moved.shape = x.shape
        result = insert(product, "PRelu", [moved, source.inputs[1]], name=source.name or "")
    replace(product.outputs[0], result)


RULE = Rule("scale-fold", pattern, check, rewrite)
