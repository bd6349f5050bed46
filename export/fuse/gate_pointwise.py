"""A live gate as two pointwise convolutions, as runtimes for cameras and phones know it.

    sigmoid(W2 relu(W1 mean(x) + b1) + b2),   mean(x) (N, C, 1, 1)

The mean keeps its axes, so nothing is reshaped: OpenCV up to 4.6 refuses the reshapes, and converters that change the
layout get them wrong.
"""

from __future__ import annotations

from cgnet_deploy.export.fuse.gate import Gate, gate
from cgnet_deploy.export.fuse.linear import pointwise
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, channels, insert, over_image, replace


def check(match: Gate) -> str | None:
    pool = match.pool
    if attribute(pool, "keepdims", 1) != 0 or not over_image(pool):
        return f"{pool.name} is not a mean over height and width alone"
    count = len(match.excite[1])
    return None if channels(match.factor) == count else f"{match.product.name} takes a part of the gate"


def rewrite(match: Gate) -> None:
    node = match.pool
    scope = (node.name or "").partition("/")[0]
    x = insert(node, "GlobalAveragePool", [node.inputs[0]])
    x = pointwise(node, x, *match.squeeze, f"{scope}.squeeze/Conv")
    x = pointwise(node, insert(node, "Relu", [x]), *match.excite, f"{scope}.excite/Conv")
    replace(match.factor, insert(node, "Sigmoid", [x]))


RULE = Rule("gate-pointwise", gate, check, rewrite)
