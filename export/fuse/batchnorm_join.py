"""BatchNormalization after a join: an affine map per branch, before the concat.

    BN(concat(x1, x2, ...)) = concat(s1 x1 + b1, s2 x2 + b2, ...)

A branch that is an average pool of the image folds entirely: the pool always divides by 9, so it is a depthwise
3x3 convolution with weights 1/9, and s/9 with bias b is one too. (Its raw value may still feed the next pool.)
The other branches end in a residual sum, a gate or an activation, none of which can absorb a shift.
3 in M3N21.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, batchnorm_affine, convolution, split
from cgnet_deploy.export.fuse.pool_conv import is_fixed_divisor, pool_kernel
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, operand, operands, part_sizes, per_channel, producer, replace, sole_user


@dataclass(frozen=True, slots=True)
class Match:
    concat: ir.Node
    norm: ir.Node


def pattern(node: ir.Node) -> Match | None:
    concat = producer(node.inputs[0], "Concat") if node.op_type == "BatchNormalization" else None
    return Match(concat, node) if concat else None


def check(match: Match) -> str | None:
    if sole_user(match.concat.outputs[0]) is None:
        return f"{match.concat.name} has another reader"
    if not all(part_sizes(match.concat)):
        return f"a branch of {match.concat.name} has an unknown number of channels"
    return None


def rewrite(match: Match) -> None:
    scale, shift = batchnorm_affine(match.norm)
    sizes = part_sizes(match.concat)
    parts = [
        _branch(match, x, s, b)
        for x, s, b in zip(operands(match.concat), split(scale, sizes), split(shift, sizes), strict=True)
    ]
    replace(match.norm.outputs[0], insert(match.norm, "Concat", parts, name=match.concat.name or "", axis=1))


def _branch(match: Match, x: ir.Value, scale: F64, shift: F64) -> ir.Value:
    anchor = match.norm
    pool = producer(x, "AveragePool")
    if pool is not None and is_fixed_divisor(pool):
        kernel = pool_kernel(pool) * scale[:, None, None, None]
        return convolution(anchor, pool, operand(pool), kernel, shift, groups=len(scale))
    label = match.norm.name or "join"
    s = per_channel(anchor, scale, f"{label}.scale")
    b = per_channel(anchor, shift, f"{label}.shift")
    return insert(anchor, "Add", [insert(anchor, "Mul", [x, s]), b])


RULE = Rule("batchnorm-join", pattern, check, rewrite)
