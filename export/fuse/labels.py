"""Resize to full size and argmax, as the rules that rewrite it see it.

    scores (N, K, h, w) -> bilinear to (N, K, H, W), half-pixel centres -> argmax over K -> u8 (N, H, W)

Along one axis, output pixel i reads position p = (i + 1/2) h / H - 1/2, clamped to [0, h - 1]: it is a matrix
R (H, h) with at most two entries a row, and the resize is R_H s R_W^T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.export.graph import attribute, producer


@dataclass(frozen=True, slots=True)
class Labels:
    """argmax: over the channels of what `resize` makes of `scores`. small, large: (h, w) and (H, W), or None."""

    argmax: ir.Node
    resize: ir.Node
    scores: ir.Value
    small: tuple[int, int] | None
    large: tuple[int, int] | None


def labels(node: ir.Node) -> Labels | None:
    """The labels that `node`, an ArgMax over channels, gives."""
    resize = producer(node.inputs[0], "Resize") if node.op_type == "ArgMax" else None
    if resize is None or attribute(node, "axis", 0) != 1 or resize.inputs[0] is None:
        return None
    scores = resize.inputs[0]
    return Labels(node, resize, scores, _size(scores), _size(resize.outputs[0]))


def _size(value: ir.Value) -> tuple[int, int] | None:
    if value.shape is None or len(value.shape) != 4:
        return None
    height, width = value.shape[2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def why_not_linear(match: Labels) -> str | None:
    """Why the resize is not the one of the docstring with fixed sizes, or None."""
    resize = match.resize
    if (attribute(resize, "mode", "nearest"), attribute(resize, "coordinate_transformation_mode", "half_pixel")) != (
        "linear", "half_pixel",
    ):  # fmt: skip
        return f"{resize.name} is not bilinear with half-pixel centres"
    return None if match.small and match.large else f"{resize.name} has no fixed sizes"


def interpolation(small: int, large: int) -> F64:
    """R (large, small) of the docstring."""
    position = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    low = np.minimum(position.astype(int), max(small - 2, 0))
    matrix = np.zeros((large, small))
    matrix[np.arange(large), low] += 1 - (position - low)
    matrix[np.arange(large), np.minimum(low + 1, small - 1)] += position - low
    return matrix
