"""An average pool of the image as a convolution: kernel 1/9, the pool's own stride and zero padding.

Exact because the pool counts its padding (the divisor is always 9). OpenVINO runs a 3-channel pool several
times slower than this, and a dense convolution can take in a change of channel order.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, convolution
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, channels, integers, operand, replace


def is_fixed_divisor(pool: ir.Node) -> bool:
    """Whether the pool divides by the same number everywhere, its border included."""
    return attribute(pool, "count_include_pad", 0) == 1 and attribute(pool, "ceil_mode", 0) == 0


def pool_kernel(pool: ir.Node) -> F64:
    """(1, 1, kh, kw): what each pixel of the window counts."""
    sides = integers(pool, "kernel_shape")
    return np.full((1, 1, *sides), 1 / math.prod(sides))


def pattern(node: ir.Node) -> ir.Node | None:
    return node if node.op_type == "AveragePool" else None


def check(pool: ir.Node) -> str | None:
    if not is_fixed_divisor(pool):
        return f"{pool.name} divides by fewer pixels at the border"
    return None if channels(pool.outputs[0]) else f"{pool.name} has an unknown number of channels"


def rewrite(pool: ir.Node) -> None:
    count = channels(pool.outputs[0]) or 0
    kernel = np.eye(count)[:, :, None, None] * pool_kernel(pool)
    replace(pool.outputs[0], convolution(pool, pool, operand(pool), kernel, None, groups=1))


RULE = Rule("pool-conv", pattern, check, rewrite)
