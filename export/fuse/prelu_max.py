"""PReLU(x) = max(x, a x), where no slope is above 1."""

from __future__ import annotations

from cgnet_deploy.export.fuse.activation import Prelu, per_channel, prelu
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, replace


def check(match: Prelu) -> str | None:
    above = int((match.slope > 1).sum())
    return f"{above} of {len(match.slope)} slopes are above 1" if above else None


def rewrite(match: Prelu) -> None:
    node = match.node
    scaled = insert(node, "Mul", [match.x, per_channel(node, match.slope, "slope")])
    replace(node.outputs[0], insert(node, "Max", [match.x, scaled]))


RULE = Rule("prelu-max", prelu, check, rewrite)
