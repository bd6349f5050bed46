"""An average pool folded into a depthwise convolution, beside the same pool unfolded, as an affine map of the one.

    conv(x) = s pool(x) + b      where every tap of the kernel is s / (number of taps)

batchnorm_join.py folds the pooled image of a join, whose raw value the next pool may read too: then the image is
gone through twice. Where that costs more than a scale and a shift of the pooled image, one pool is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64, is_constant, is_depthwise, kernel_and_bias
from cgnet_deploy.export.fuse.pool_conv import is_fixed_divisor
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, insert, per_channel, replace

GEOMETRY = {"kernel_shape": [], "strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}


@dataclass(frozen=True, slots=True)
class Match:
    conv: ir.Node
    pool: ir.Node  # of the same image, over the same windows
    scale: F64


def pattern(node: ir.Node) -> Match | None:
    x = node.inputs[0] if node.op_type == "Conv" else None
    if x is None or not is_constant(node) or not is_depthwise(node):
        return None
    kernel, _ = kernel_and_bias(node)
    taps = kernel.reshape(len(kernel), -1)
    pools = [use.node for use in x.uses() if use.node.op_type == "AveragePool" and _alike(use.node, node)]
    return Match(node, pools[0], taps.sum(1)) if pools and (taps == taps[:, :1]).all() else None


def _alike(pool: ir.Node, conv: ir.Node) -> bool:
    return all(attribute(pool, name, default) == attribute(conv, name, default) for name, default in GEOMETRY.items())


def check(match: Match) -> str | None:
    return None if is_fixed_divisor(match.pool) else f"{match.pool.name} divides by fewer pixels at the border"


def rewrite(match: Match) -> None:
    conv, name = match.conv, match.conv.name or "pool"
    _, bias = kernel_and_bias(conv)
    scale, shift = per_channel(conv, match.scale, f"{name}.scale"), per_channel(conv, bias, f"{name}.shift")
    product = insert(conv, "Mul", [match.pool.outputs[0], scale])
    replace(conv.outputs[0], insert(conv, "Add", [product, shift]))


RULE = Rule("pool-shared", pattern, check, rewrite)
