"""Convolutions and BatchNormalizations as arrays: what the rules that fold them share.

A BatchNormalization at inference is an affine map,

    y = gamma (x - mean) / sqrt(var + eps) + beta = s x + b,  s = gamma / sqrt(var + eps),  b = beta - s mean,

and an affine map after a convolution is a convolution: s (W x + c) + b = (s W) x + (s c + b). All of it is
computed in float64 and rounded once. CGNet's eps is 1e-3; the trained official weights have variances
down to 5.6e-45.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from cgnet_deploy.export.graph import attribute, constant, insert, integer, operand, sole_user, weights

F64 = npt.NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)


def batchnorm_affine(node: ir.Node) -> tuple[F64, F64]:
    """(s, b), each (C,), of a BatchNormalization with constant parameters."""
    gamma, beta, mean, var = (np.asarray(weights(value), np.float64) for value in node.inputs[1:5])
    scale = gamma / np.sqrt(var + np.asarray(attribute(node, "epsilon", 1e-5), np.float64))
    return scale, beta - scale * mean


def kernel_and_bias(conv: ir.Node) -> tuple[F64, F64]:
    """(C_out, C_in / groups, kh, kw) and (C_out,) of a Conv with constant weights; a missing bias is zero."""
    kernel = np.asarray(weights(conv.inputs[1]), np.float64)
    bias = weights(conv.inputs[2]) if len(conv.inputs) > 2 else None
    return kernel, np.zeros(len(kernel)) if bias is None else np.asarray(bias, np.float64)


def own_bias(conv: ir.Node, bias: F64) -> F64 | None:
    """`bias` for a rewritten `conv`, None where it has none."""
    return bias if len(conv.inputs) > 2 else None


def scaled(conv: ir.Node, scale: F64, shift: F64) -> tuple[F64, F64]:
    """Kernel and bias of `scale * conv(x) + shift`, both (C_out,)."""
    kernel, bias = kernel_and_bias(conv)
    return kernel * scale[:, None, None, None], bias * scale + shift


def split(array: npt.NDArray[Number], sizes: Sequence[int], axis: int = 0) -> list[npt.NDArray[Number]]:
    """`array` in parts of `sizes` along `axis`."""
    return np.split(array, np.cumsum(sizes)[:-1], axis)


def per_channel_constant(value: ir.Value | None, count: int | None) -> F64 | None:
    """The (C,) behind a constant of (C, 1, 1), None for anything else."""
    array = weights(value)
    if array is None or array.ndim < 3 or count is None or array.shape[-3:] != (count, 1, 1) or array.size != count:
        return None
    return np.asarray(array, np.float64).ravel()


def is_constant(conv: ir.Node) -> bool:
    """Whether kernel and bias are constants."""
    bias = conv.inputs[2] if len(conv.inputs) > 2 else None
    return weights(conv.inputs[1]) is not None and (bias is None or weights(bias) is not None)


def why_not_foldable(conv: ir.Node) -> str | None:
    """Why nothing that follows can be folded into `conv`, or None."""
    if not is_constant(conv):
        return f"the weights of {conv.name} are computed, not constant"
    if sole_user(conv.outputs[0]) is None:
        return f"{conv.name} has another reader"
    return None


def groups_of(conv: ir.Node) -> int:
    return integer(conv, "group", 1)


def is_depthwise(conv: ir.Node) -> bool:
    kernel = weights(conv.inputs[1])
    return kernel is not None and kernel.shape[1] == 1 and groups_of(conv) == len(kernel)


def is_scaling(node: ir.Node) -> bool:
    """Whether it is a convolution that multiplies each channel by what is computed (gate_conv.py)."""
    kernel = node.inputs[1] if node.op_type == "Conv" else None
    shape = None if kernel is None or weights(kernel) is not None else kernel.shape
    return shape is not None and list(shape) == [groups_of(node), 1, 1, 1]


def convolution(
    anchor: ir.Node, like: ir.Node, x: ir.Value, kernel: F64, bias: F64 | None, *, name: str = "", groups: int = 0
) -> ir.Value:
    """A Conv before `anchor` with the strides, pads and dilations of `like`, with its groups where `groups` is 0."""
    name = name or like.name or "Conv"
    inputs = [x, constant(anchor, kernel.astype(np.float32), f"{name}.weight")]
    if bias is not None:
        inputs.append(constant(anchor, bias.astype(np.float32), f"{name}.bias"))
    kept = {key: attribute(like, key, 0) for key in ("dilations", "pads", "strides") if key in like.attributes}
    return insert(
        anchor, "Conv", inputs, name=name, kernel_shape=list(kernel.shape[2:]), group=groups or groups_of(like), **kept
    )


def folded(anchor: ir.Node, conv: ir.Node, scale: F64, shift: F64) -> ir.Value:
    """`scale * conv(x) + shift` as one convolution before `anchor`."""
    return convolution(anchor, conv, operand(conv), *scaled(conv, scale, shift))


def pointwise(anchor: ir.Node, x: ir.Value, matrix: F64, bias: F64 | None, name: str, *, groups: int = 1) -> ir.Value:
    """`matrix @ x + bias` per pixel, matrix (C_out, C_in / groups), as a 1x1 convolution."""
    inputs = [x, constant(anchor, matrix.astype(np.float32)[:, :, None, None], f"{name}.weight")]
    if bias is not None:
        inputs.append(constant(anchor, bias.astype(np.float32), f"{name}.bias"))
    return insert(anchor, "Conv", inputs, name=name, kernel_shape=[1, 1], group=groups)


def pointwise_depthwise(anchor: ir.Node, x: ir.Value, scale: F64, shift: F64 | None, name: str) -> ir.Value:
    """`scale * x + shift` as a depthwise 1x1 convolution, which keeps a blocked layout blocked."""
    return pointwise(anchor, x, scale[:, None], shift, name, groups=len(scale))
