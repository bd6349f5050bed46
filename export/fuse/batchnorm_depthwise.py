"""BatchNormalization after the concat of convolutions: split by channels, each part folded.

    BN(concat(W1 x, W2 x)) = concat(s1 W1 x + b1, s2 W2 x + b2)

24 in M3N21: the joint feature of every block, whose two parts are the local and the surrounding depthwise
convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import batchnorm_affine, folded, kernel_and_bias, split, why_not_foldable
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, producer, replace, sole_user


@dataclass(frozen=True, slots=True)
class Match:
    convs: tuple[ir.Node, ...]
    concat: ir.Node
    norm: ir.Node


def pattern(node: ir.Node) -> Match | None:
    concat = producer(node.inputs[0], "Concat") if node.op_type == "BatchNormalization" else None
    if concat is None:
        return None
    convs = tuple(conv for value in concat.inputs if (conv := producer(value, "Conv")))
    return Match(convs, concat, node) if len(convs) == len(concat.inputs) else None


def check(match: Match) -> str | None:
    if sole_user(match.concat.outputs[0]) is None:
        return f"{match.concat.name} has another reader"
    return next((reason for conv in match.convs if (reason := why_not_foldable(conv))), None)


def rewrite(match: Match) -> None:
    scale, shift = batchnorm_affine(match.norm)
    sizes = [len(kernel_and_bias(conv)[0]) for conv in match.convs]
    parts = [
        folded(match.norm, conv, s, b)
        for conv, s, b in zip(match.convs, split(scale, sizes), split(shift, sizes), strict=True)
    ]
    replace(match.norm.outputs[0], insert(match.norm, "Concat", parts, name=match.concat.name or "", axis=1))


RULE = Rule("batchnorm-depthwise", pattern, check, rewrite)
