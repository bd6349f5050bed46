"""PReLU(x) = relu(x) + a min(x, 0), for any slopes."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.activation import Prelu, per_channel, prelu
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import constant, insert, replace


def check(match: Prelu) -> str | None:
    return None


def rewrite(match: Prelu) -> None:
    node = match.node
    zero = constant(node, np.zeros((), np.float32), "zero")
    negative = insert(node, "Mul", [insert(node, "Min", [match.x, zero]), per_channel(node, match.slope, "slope")])
    replace(node.outputs[0], insert(node, "Add", [insert(node, "Relu", [match.x]), negative]))


RULE = Rule("prelu-min", prelu, check, rewrite)
