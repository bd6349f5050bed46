"""Resize by 8 and argmax without a full-size map of any class: one small convolution per phase, argmax, shuffle.

Where H = 8 h and W = 8 w, output pixel 8 y + p reads rows y - 1, y, y + 1 with weights that depend on the phase
p alone. With the scores padded by one pixel of their edge, a convolution 1 -> 64 per class gives all 8 x 8
phases at once, (N, 64 K, h, w): as many numbers as the full map, but the argmax runs over blocks that stay in
cache, and only u8 labels are put in place (the shuffle of a depth-to-space).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.labels import Labels, labels, why_not_linear
from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import channels, constant, insert, replace, sole_user

STRIDE = 8


def check(match: Labels) -> str | None:
    if reason := why_not_linear(match):
        return reason
    assert match.small is not None
    assert match.large is not None
    if tuple(STRIDE * side for side in match.small) != match.large:
        return f"{match.large} is not {STRIDE} times {match.small}"
    if channels(match.scores) is None:
        return "the number of classes is unknown"
    cast = sole_user(match.argmax.outputs[0])
    return None if cast is not None and cast.op_type == "Cast" else "its labels are not cast to u8 at once"


def phases() -> F64:
    """(8, 3): what output pixel 8 y + p takes of rows y - 1, y, y + 1."""
    offset = (np.arange(STRIDE) + 0.5) / STRIDE - 0.5  # of the row's centre, in rows
    weight: F64 = np.maximum(0, 1 - np.abs(offset[:, None] - np.arange(-1, 2)))
    return weight


def rewrite(match: Labels) -> None:
    node = match.argmax
    cast = sole_user(node.outputs[0])
    assert cast is not None
    assert match.small is not None
    count = channels(match.scores) or 0
    height, width = match.small
    pads = constant(node, np.asarray([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "labels.pads")
    padded = insert(node, "Pad", [match.scores, pads], mode="edge")
    # Phase-major, so that the classes of one phase lie together and the argmax runs over the last but two axes.
    kernel = np.einsum("py,qx->pqyx", phases(), phases()).reshape(STRIDE * STRIDE, 1, 3, 3).astype(np.float32)
    weight = constant(node, np.tile(kernel, (count, 1, 1, 1)), "labels.phases")
    blocks = insert(node, "Conv", [padded, weight], kernel_shape=[3, 3], group=count)
    split = constant(node, np.asarray([0, count, STRIDE * STRIDE, height, width], np.int64), "labels.split")
    index = insert(node, "ArgMax", [insert(node, "Reshape", [blocks, split])], axis=1, keepdims=0)
    index.type = ir.TensorType(ir.DataType.INT64)
    small = insert(node, "Cast", [index], to=int(ir.DataType.UINT8))
    small.type = ir.TensorType(ir.DataType.UINT8)
    grid = constant(node, np.asarray([0, STRIDE, STRIDE, height, width], np.int64), "labels.grid")
    spread = insert(node, "Transpose", [insert(node, "Reshape", [small, grid])], perm=[0, 3, 1, 4, 2])
    size = constant(node, np.asarray([0, STRIDE * height, STRIDE * width], np.int64), "labels.size")
    replace(cast.outputs[0], insert(node, "Reshape", [spread, size]))


RULE = Rule("labels-phase", labels, check, rewrite)
