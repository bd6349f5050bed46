"""A resize to fixed sizes by the scales instead, where both are whole numbers, and so exact.

OpenCV reads sizes only where they are constants for the whole shape, the number of images included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import constant, fixed_size


@dataclass(frozen=True, slots=True)
class Match:
    """small, large: (h, w) before and after, or None."""

    resize: ir.Node
    small: tuple[int, int] | None
    large: tuple[int, int] | None


def pattern(node: ir.Node) -> Match | None:
    """A resize by sizes."""
    if node.op_type != "Resize" or len(node.inputs) < 4 or node.inputs[3] is None:
        return None
    return Match(node, fixed_size(node.inputs[0]), fixed_size(node.outputs[0]))


def check(match: Match) -> str | None:
    name = match.resize.name
    if match.small is None or match.large is None:
        return f"{name} has no fixed sizes"
    whole = all(large % small == 0 for small, large in zip(match.small, match.large, strict=True))
    return None if whole else f"{name} makes {match.large} of {match.small}: no whole scales"


def rewrite(match: Match) -> None:
    node, small, large = match.resize, match.small or (1, 1), match.large or (1, 1)
    scales = np.array([1, 1, large[0] // small[0], large[1] // small[1]], np.float32)
    node.replace_input_with(2, constant(node, scales, "resize.scales"))
    node.resize_inputs(3)


RULE = Rule("resize-scales", pattern, check, rewrite)
