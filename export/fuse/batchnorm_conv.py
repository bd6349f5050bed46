"""BatchNormalization directly after one convolution: folded into its kernel and bias.

27 in M3N21: the three stem convolutions and every block's entry convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import batchnorm_affine, folded, why_not_foldable
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import producer, replace


@dataclass(frozen=True, slots=True)
class Match:
    conv: ir.Node
    norm: ir.Node


def pattern(node: ir.Node) -> Match | None:
    conv = producer(node.inputs[0], "Conv") if node.op_type == "BatchNormalization" else None
    return Match(conv, node) if conv else None


def check(match: Match) -> str | None:
    return why_not_foldable(match.conv)


def rewrite(match: Match) -> None:
    replace(match.norm.outputs[0], folded(match.norm, match.conv, *batchnorm_affine(match.norm)))


RULE = Rule("batchnorm-conv", pattern, check, rewrite)
