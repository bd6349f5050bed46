"""`s x + b` per channel as a depthwise 1x1 convolution, which ONNX Runtime keeps in its blocked layout.

CGNet has it at its joins, where a BatchNorm follows a residual sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, pointwise_depthwise
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import channels, producer, replace, sole_user, weights


@dataclass(frozen=True, slots=True)
class Match:
    x: ir.Value
    scale: F64 | None
    shift: F64 | None
    total: ir.Node


def pattern(node: ir.Node) -> Match | None:
    product = producer(node.inputs[0], "Mul") if node.op_type == "Add" else None
    if product is None or product.inputs[0] is None:
        return None
    count = channels(node.outputs[0])
    scale, shift = (per_channel_constant(value, count) for value in (product.inputs[1], node.inputs[1]))
    return Match(product.inputs[0], scale, shift, node) if scale is not None or shift is not None else None


def per_channel_constant(value: ir.Value | None, count: int | None) -> F64 | None:
    """The (C,) behind a constant of (C, 1, 1), None for anything else."""
    array = weights(value)
    if array is None or array.ndim < 3 or count is None or array.shape[-3:] != (count, 1, 1) or array.size != count:
        return None
    return np.asarray(array, np.float64).ravel()


def check(match: Match) -> str | None:
    if match.scale is None or match.shift is None:
        return f"{match.total.name} is not a constant scale and shift"
    product = match.total.inputs[0]
    if product is None or sole_user(product) is None:
        return f"the product before {match.total.name} has another reader"
    return None


def rewrite(match: Match) -> None:
    assert match.scale is not None
    assert match.shift is not None
    output = pointwise_depthwise(match.total, match.x, match.scale, match.shift, match.total.name or "affine")
    replace(match.total.outputs[0], output)


RULE = Rule("affine-conv", pattern, check, rewrite)
