"""A gate enlarged to the size of what it multiplies, by nearest neighbour.

ONNX Runtime multiplies in its blocked layout only where both sides have one shape; a broadcast sends the whole
map through two reorders. Enlarging the gate stays blocked and costs one write.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import constant, insert, replace, weights


@dataclass(frozen=True, slots=True)
class Match:
    product: ir.Node
    scaled: ir.Value
    gate: ir.Value


def pattern(node: ir.Node) -> Match | None:
    if node.op_type != "Mul":
        return None
    for scaled, gate in (node.inputs, tuple(reversed(node.inputs))):
        if scaled is None or gate is None or weights(gate) is not None or gate.shape is None:
            continue
        if len(gate.shape) == 4 and list(gate.shape[2:]) == [1, 1] and scaled.shape != gate.shape:
            return Match(node, scaled, gate)
    return None


def check(match: Match) -> str | None:
    shape = match.scaled.shape
    if shape is None or not all(isinstance(side, int) for side in shape[2:]):
        return f"{match.scaled.name} has no fixed size"
    return None


def rewrite(match: Match) -> None:
    node, shape = match.product, match.scaled.shape
    assert shape is not None
    scales = constant(node, np.asarray([1, 1, shape[2], shape[3]], np.float32), "gate.scales")
    large = insert(
        node, "Resize", [match.gate, None, scales],
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    replace(node.outputs[0], insert(node, "Mul", [match.scaled, large]))


RULE = Rule("gate-resize", pattern, check, rewrite)
