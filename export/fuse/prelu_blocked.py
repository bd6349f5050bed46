"""PReLU in operators that ONNX Runtime keeps in its blocked layout: convolutions, Relu and Add.

With z = (1 - a) x, and a < 1 so that the sign stays,

    PReLU(x) = (1 - a) relu(x) + a x = relu(z) + a / (1 - a) z

The factor 1 - a goes into the convolutions whose sum x is; the product is a depthwise 1x1 convolution, into
which ONNX Runtime fuses the sum. PRelu, Max and any broadcast product leave the layout and reorder every
pixel twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.activation import Prelu, prelu
from cgnet_deploy.export.fuse.linear import convolution, pointwise_depthwise, scaled, why_not_foldable
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, producer, replace, sole_user

NEAR_ONE = 0.99  # beyond it a / (1 - a) is large enough to cost digits


@dataclass(frozen=True, slots=True)
class Match:
    prelu: Prelu
    convs: tuple[ir.Node, ...]  # x is their sum


def pattern(node: ir.Node) -> Match | None:
    found = prelu(node)
    return Match(found, _summands(found.x)) if found else None


def _summands(x: ir.Value) -> tuple[ir.Node, ...]:
    """The convolutions whose sum `x` is, () if it is anything else."""
    if conv := producer(x, "Conv"):
        return (conv,)
    total = producer(x, "Add")
    if total is None or sole_user(x) is None:
        return ()
    parts = [_summands(value) for value in total.inputs if value is not None]
    return sum(parts, ()) if all(parts) else ()


def check(match: Match) -> str | None:
    if not match.convs:
        return "its input is not a sum of convolutions"
    steep = int((match.prelu.slope > NEAR_ONE).sum())
    if steep:
        return f"{steep} of {len(match.prelu.slope)} slopes are above {NEAR_ONE}"
    return next((reason for conv in match.convs if (reason := why_not_foldable(conv))), None)


def rewrite(match: Match) -> None:
    node, slope = match.prelu.node, match.prelu.slope
    total: ir.Value | None = None
    for conv in match.convs:
        x = conv.inputs[0]
        assert x is not None
        part = convolution(node, conv, x, *scaled(conv, 1 - slope, 0 * slope))
        total = part if total is None else insert(node, "Add", [total, part])
    assert total is not None
    product = pointwise_depthwise(node, total, slope / (1 - slope), None, f"{node.name}.slope")
    replace(node.outputs[0], insert(node, "Add", [product, insert(node, "Relu", [total])]))


RULE = Rule("prelu-blocked", pattern, check, rewrite)
