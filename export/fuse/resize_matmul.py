"""The resize of the logits as two matrix products, R_H (s R_W^T): any fixed sizes.

    scores (N, K, h, w) -> bilinear to (N, K, H, W), half-pixel centres

Along one axis, output pixel i reads position p = (i + 1/2) h / H - 1/2, clamped to [0, h - 1]: it is a matrix
R (H, h) with at most two entries a row. A band of its rows reads few neighbouring columns, so the second product, by
far the larger, is one a band. The same terms are summed as with all of R: the zeros are left out.

Either runtime takes two to eight times as long for Resize, and as long again for Resize before ArgMax.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import (
    attribute,
    constant,
    fixed_size,
    insert,
    operands,
    producer,
    replace,
    required,
    weights,
)

BAND = 32  # rows of the result that a band has at least: below, the products are too small to be fast


@dataclass(frozen=True, slots=True)
class Match:
    """small, large: (h, w) of `scores` and (H, W) of what `resize` makes of them, or None."""

    resize: ir.Node
    scores: ir.Value
    small: tuple[int, int] | None
    large: tuple[int, int] | None


def pattern(node: ir.Node) -> Match | None:
    """A resize whose result is the output of the graph, or goes to an argmax over channels."""
    if node.op_type != "Resize" or node.inputs[0] is None:
        return None
    full = node.outputs[0]
    labels = [user for user, _ in full.uses() if user.op_type == "ArgMax" and attribute(user, "axis", 0) == 1]
    if not labels and not full.is_graph_output():
        return None
    return Match(node, node.inputs[0], fixed_size(node.inputs[0]), fixed_size(full))


def check(match: Match) -> str | None:
    resize = match.resize
    if (attribute(resize, "mode", "nearest"), attribute(resize, "coordinate_transformation_mode", "half_pixel")) != (
        "linear",
        "half_pixel",
    ):
        return f"{resize.name} is not bilinear with half-pixel centres"
    return None if match.small and match.large else f"{resize.name} has no fixed sizes"


def rewrite(match: Match) -> None:
    node, small = match.resize, required(match.small, "the size of the scores")
    height, width = required(match.large, "the size of the logits")
    rows, columns = interpolation(small[0], height), interpolation(small[1], width)
    wide = insert(node, "MatMul", [match.scores, constant(node, columns.T.astype(np.float32), "resize.columns")])
    index, products = bands(rows)
    x = insert(node, "Gather", [wide, constant(node, index, "resize.index")], axis=2)
    full = insert(node, "MatMul", [constant(node, products.astype(np.float32), "resize.rows"), x])
    shape = constant(node, np.array([0, 0, height, width]), "resize.shape")  # a 0 keeps the side that is there
    result = insert(node, "Reshape", [full, shape])
    result.type = match.scores.type
    replace(node.outputs[0], result)


def before_resize(logits: ir.Value) -> ir.Value:
    """The scores of which `logits` are made by a Resize, or by what `rewrite` puts in its place."""
    value = logits
    while (node := producer(value, "Resize", "Reshape", "MatMul", "Gather")) is not None:
        value = next(each for each in operands(node) if weights(each) is None)
    return value


def interpolation(small: int, large: int) -> F64:
    """R (large, small) of the docstring."""
    position = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    low = np.minimum(position.astype(int), max(small - 2, 0))
    matrix = np.zeros((large, small))
    matrix[np.arange(large), low] += 1 - (position - low)
    matrix[np.arange(large), np.minimum(low + 1, small - 1)] += position - low
    return matrix


def bands(rows: F64) -> tuple[npt.NDArray[np.int64], F64]:
    """The bands of R (H, h): the columns that each reads (bands, k), and its part of R (bands, H / bands, k)."""
    large, small = rows.shape
    count = max(n for n in range(1, large + 1) if large % n == 0 and (n == 1 or large // n >= BAND))
    split = rows.reshape(count, large // count, small)
    read = (split != 0).any(axis=1)
    first, last = read.argmax(axis=1), small - 1 - read[:, ::-1].argmax(axis=1)
    size = int((last - first).max()) + 1
    start = np.minimum(first, small - size)
    index = start[:, None] + np.arange(size)
    return index, np.take_along_axis(split, index[:, None, :], axis=2)


RULE = Rule("resize-matmul", pattern, check, rewrite)
