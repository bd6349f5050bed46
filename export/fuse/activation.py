"""PReLU, and what its four forms share.

    PReLU(x) = max(x, 0) + a min(x, 0)          one slope a per channel, of either sign, above 1 too

Runtimes differ by a factor of two in what the forms cost, so each is a rule of its own (prelu_*.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.export.graph import channels, constant, weights


@dataclass(frozen=True, slots=True)
class Prelu:
    """A PRelu over channels and its slopes, (C,)."""

    node: ir.Node
    x: ir.Value
    slope: F64


def prelu(node: ir.Node) -> Prelu | None:
    """The PRelu at `node` if its slopes are constants, one a channel."""
    if node.op_type != "PRelu":
        return None
    x, slope = node.inputs[0], weights(node.inputs[1])
    if x is None or slope is None:
        return None
    count = channels(x) or slope.size
    if slope.size not in (1, count) or (slope.ndim > 2 and slope.shape[-2:] != (1, 1)):
        return None
    return Prelu(node, x, np.broadcast_to(np.asarray(slope, np.float64).ravel(), (count,)))


def per_channel(anchor: ir.Node, values: F64, label: str) -> ir.Value:
    """A constant (C, 1, 1) f32."""
    return constant(anchor, values.astype(np.float32)[:, None, None], f"{anchor.name}.{label}")
