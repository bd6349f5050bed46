"""PReLU(x) = a x + (1 - a) relu(x), for any slopes."""

from __future__ import annotations

from cgnet_deploy.export.fuse.activation import Prelu, per_channel, prelu
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, replace


def check(match: Prelu) -> str | None:
    return None


def rewrite(match: Prelu) -> None:
    node = match.node
    line = insert(node, "Mul", [match.x, per_channel(node, match.slope, "slope")])
    bend = insert(node, "Mul", [insert(node, "Relu", [match.x]), per_channel(node, 1 - match.slope, "bend")])
    replace(node.outputs[0], insert(node, "Add", [line, bend]))


RULE = Rule("prelu-affine", prelu, check, rewrite)
