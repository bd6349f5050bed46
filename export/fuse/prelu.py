"""PReLU in other operators: runtimes differ by a factor of two in what the forms cost.

    PReLU(x) = max(x, 0) + a min(x, 0)      one slope a per channel, of either sign, above 1 too

    MAX      max(x, a x)                    where no slope is above 1
    AFFINE   a x + (1 - a) relu(x)          any slopes
    BLOCKED  a x + relu((1 - a) x)          where no slope is above 1

BLOCKED is made of operators that ONNX Runtime keeps in its blocked layout: both products are depthwise 1x1
convolutions; it takes the relu into the one and the sum into the other. PRelu, Max and any broadcast product leave the
layout and reorder every pixel twice, and a Relu of its own costs three times what the convolution with one inside does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, pointwise_depthwise
from cgnet_deploy.export.fuse.rule import Rule, always
from cgnet_deploy.export.graph import channels, insert, per_channel, replace, weights


@dataclass(frozen=True, slots=True)
class Prelu:
    """A PRelu over channels and its slopes, (C,)."""

    node: ir.Node
    x: ir.Value
    slope: F64


def pattern(node: ir.Node) -> Prelu | None:
    """The PRelu at `node` if its slopes are constants, one a channel."""
    if node.op_type != "PRelu":
        return None
    x, slope = node.inputs[0], weights(node.inputs[1])
    if x is None or slope is None:
        return None
    count = channels(x) or slope.size
    if slope.size not in (1, count) or (slope.ndim > 2 and slope.shape[-2:] != (1, 1)):
        return None
    return Prelu(node, x, np.broadcast_to(np.asarray(slope, np.float64).ravel(), (count,)))


def up_to_1(match: Prelu) -> str | None:
    above = int((match.slope > 1).sum())
    return f"{above} of {len(match.slope)} slopes are above 1" if above else None


def _times(match: Prelu, x: ir.Value, factor: F64, label: str) -> ir.Value:
    return insert(match.node, "Mul", [x, per_channel(match.node, factor, f"{match.node.name}.{label}")])


def _max(match: Prelu) -> ir.Value:
    return insert(match.node, "Max", [match.x, _times(match, match.x, match.slope, "slope")])


def _affine(match: Prelu) -> ir.Value:
    line = _times(match, match.x, match.slope, "slope")
    bend = _times(match, insert(match.node, "Relu", [match.x]), 1 - match.slope, "bend")
    return insert(match.node, "Add", [line, bend])


def _blocked(match: Prelu) -> ir.Value:
    node = match.node
    line = pointwise_depthwise(node, match.x, match.slope, None, f"{node.name}/line")
    bend = pointwise_depthwise(node, match.x, 1 - match.slope, None, f"{node.name}/bend")
    return insert(node, "Add", [line, insert(node, "Relu", [bend])])


def _rule(name: str, check: Callable[[Prelu], str | None], form: Callable[[Prelu], ir.Value]) -> Rule[Prelu]:
    return Rule(name, pattern, check, lambda match: replace(match.node.outputs[0], form(match)))


MAX = _rule("prelu-max", up_to_1, _max)
AFFINE = _rule("prelu-affine", always, _affine)
BLOCKED = _rule("prelu-blocked", up_to_1, _blocked)
