"""A change of channel order, or a factor per channel, in front of convolutions goes into their kernels.

    ORDER   W (P x) = (W P) x
    FACTOR  W (s x) = (W s) x        zero padding stays zero under both

The frame's BGR channels then feed the first convolution and the image pool as they come. Not the factor in int8: the
range that a convolution reads was measured behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import (
    F64,
    convolution,
    groups_of,
    is_constant,
    is_depthwise,
    kernel_and_bias,
    own_bias,
    per_channel_constant,
)
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, channels, operand, replace, weights


@dataclass(frozen=True, slots=True)
class Match:
    node: ir.Node
    x: ir.Value
    matrix: F64  # (C, C): output channel from input channels
    convs: tuple[ir.Node, ...]
    sizes: tuple[ir.Node, ...]  # that read its shape alone, which is that of x


def order(node: ir.Node) -> Match | None:
    if node.op_type != "Gather" or attribute(node, "axis", 0) != 1:
        return None
    indices, count = weights(node.inputs[1]), channels(node.inputs[0])
    return None if indices is None or indices.ndim != 1 or count is None else _match(node, np.eye(count)[indices])


def factor(node: ir.Node) -> Match | None:
    values = per_channel_constant(node.inputs[1], channels(node.outputs[0])) if node.op_type == "Mul" else None
    return None if values is None else _match(node, np.diag(values))


def _match(node: ir.Node, matrix: F64) -> Match | None:
    users = [use.node for use in node.outputs[0].uses()]
    convs, sizes = (tuple(user for user in users if user.op_type == op) for op in ("Conv", "Shape"))
    x, alone = operand(node), len(convs + sizes) == len(users)
    return Match(node, x, matrix, convs if alone else (), sizes) if convs else None


def check(match: Match) -> str | None:
    if not match.convs:
        return f"{match.node.name} feeds something that is not a convolution"
    for conv in match.convs:
        if not is_constant(conv) or (groups_of(conv) != 1 and not is_depthwise(conv)):
            return f"{conv.name} is not a dense or depthwise convolution with constant weights"
    return None


def rewrite(match: Match) -> None:
    for conv in match.convs:
        kernel, bias = kernel_and_bias(conv)
        if is_depthwise(conv):  # three channels: dense is as cheap
            kernel = np.eye(len(kernel))[:, :, None, None] * kernel
        turned = np.einsum("oihw,ij->ojhw", kernel, match.matrix)
        replace(conv.outputs[0], convolution(conv, conv, match.x, turned, own_bias(conv, bias), groups=1))
    for shape in match.sizes:
        shape.replace_input_with(0, match.x)


ORDER = Rule("channel-order", order, check, rewrite)
FACTOR = Rule("channel-factor", factor, check, rewrite, int8=False)
