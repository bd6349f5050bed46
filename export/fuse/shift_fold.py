"""A constant added per channel right after a convolution goes into its bias: (W x + c) + b = W x + (c + b)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, folded, per_channel_constant, why_not_foldable
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import channels, producer, replace


@dataclass(frozen=True, slots=True)
class Match:
    conv: ir.Node
    total: ir.Node
    shift: F64


def pattern(node: ir.Node) -> Match | None:
    conv = producer(node.inputs[0], "Conv") if node.op_type == "Add" else None
    shift = per_channel_constant(node.inputs[1], channels(node.outputs[0])) if conv else None
    return Match(conv, node, shift) if conv is not None and shift is not None else None


def check(match: Match) -> str | None:
    return why_not_foldable(match.conv)


def rewrite(match: Match) -> None:
    replace(match.total.outputs[0], folded(match.total, match.conv, np.ones_like(match.shift), match.shift))


RULE = Rule("shift-fold", pattern, check, rewrite)
