"""A gate in operators that ONNX Runtime keeps in its blocked layout.

    mean over H, W -> 1x1 convolution -> relu -> 1x1 convolution -> sigmoid -> nearest resize to H, W -> product

The linear layers are convolutions of a 1x1 map. The product comes last: of two maps of equal size it stays
blocked, while one that broadcasts (N, C, 1, 1) reorders every pixel twice. A resize by whole factors from one
pixel copies it, so the result is the same.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.gate import Gate, gate
from cgnet_deploy.export.fuse.linear import pointwise
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import constant, insert, replace


def check(match: Gate) -> str | None:
    if _size(match) is None:
        return f"{match.scaled.name} has an open height or width: the size of the enlarged gate must be a constant"
    return None


def rewrite(match: Gate) -> None:
    node, name = match.product, match.product.name or "gate"
    (w1, b1), (w2, b2) = match.squeeze, match.excite
    x = match.pool.inputs[0]
    assert x is not None
    mean = insert(node, "GlobalAveragePool", [x], name=match.pool.name or "")
    hidden = insert(node, "Relu", [pointwise(node, mean, w1, b1, f"{name}/squeeze")], name=f"{name}/Relu")
    value = insert(node, "Sigmoid", [pointwise(node, hidden, w2, b2, f"{name}/excite")], name=f"{name}/Sigmoid")
    scales = constant(node, np.array([1, 1, *(_size(match) or ())], np.float32), f"{name}.scales")
    enlarged = insert(
        node, "Resize", [value, None, scales], name=f"{name}/Resize",
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    enlarged.shape = match.scaled.shape
    replace(node.outputs[0], insert(node, "Mul", [match.scaled, enlarged], name=name))


def _size(match: Gate) -> tuple[int, int] | None:
    shape = match.scaled.shape
    if shape is None or len(shape) != 4 or not isinstance(shape[2], int) or not isinstance(shape[3], int):
        return None
    return shape[2], shape[3]


RULE = Rule("gate-blocked", gate, check, rewrite)
