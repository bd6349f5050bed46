"""A CGNet's weights as the kernels take them: every BatchNorm folded, in float64, once.

    direct BN     BN(W x) = (s W) x + b               s = gamma / sqrt(var + eps), b = beta - mean s
    joint BN      behind concat[local, surround]      each half is scaled into its own depthwise filters
    join BN       behind concat[features ...]         stays PReLU(s x + b): an epilogue, or done on load
    down gate     mean(R y) = R mean(y)               R, the linear 1x1 `reduce`, goes into the gate's first linear
    colour order  channel i of the network is          the network's order is undone in the weights, and images
                  channel `channels[i]` of a frame     stay BGR throughout

Images (the frame, and its two pooled copies) have 3 channels, too few for a matrix product of their own: their 3x3
windows are taken as rows of 27 values, `3 tap + channel`, padded to 32. What a kernel needs for each value of such a
row is a "column" here, (32,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from cgnet_deploy import model as net
from cgnet_deploy.spec import InputSpec

WINDOW = 32  # values in a row of an image's 3x3 window: 27, and zeros
LEAST = 16  # the smallest side of a matrix product in Triton

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Join:
    """x -> PReLU(scale x + bias): a branch's part of a join, (C,) each, or (32,) for an image."""

    scale: Tensor
    bias: Tensor
    slope: Tensor


@dataclass(frozen=True, slots=True)
class Conv:
    """PReLU(conv + bias). weight: (taps, C_in, C_out), taps row by row; or (32, C_out) for an image's windows."""

    operands: ClassVar[tuple[str, ...]] = ("weight",)
    weight: Tensor
    bias: Tensor
    slope: Tensor


@dataclass(frozen=True, slots=True)
class Joint:
    """PReLU(concat[local, surround] + bias). taps: (18, C), nine of each; bias, slope: (2C,)."""

    taps: Tensor
    bias: Tensor
    slope: Tensor


@dataclass(frozen=True, slots=True)
class Gate:
    """sigmoid(excite relu(squeeze mean + squeeze_bias) + excite_bias): (C_in,) means -> (C,)."""

    squeeze: Tensor  # (8, C_in)
    squeeze_bias: Tensor
    excite: Tensor  # (C, 8)
    excite_bias: Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """A normal block. entry: 1x1, (1, C, C/2)."""

    entry: Conv
    joint: Joint
    gate: Gate


@dataclass(frozen=True, slots=True)
class Down:
    """A down block. entry and the parts `image` and `second` of its weights: 3x3 over a concat.

    first: (9, C_a, C). second: (9, C_b, C), or None. image: (32, C). reduce: (2C, C).
    """

    operands: ClassVar[tuple[str, ...]] = ("second", "image", "reduce")
    first: Conv
    second: Tensor | None
    image: Tensor
    joint: Joint
    gate: Gate
    reduce: Tensor


@dataclass(frozen=True, slots=True)
class Classifier:
    """weight: (256, K up to a power of two >= 16), zeros in what no class uses; bias alike."""

    operands: ClassVar[tuple[str, ...]] = ("weight",)
    classes: int
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Folded:
    """Everything, in the order in which it runs. mean, deviation: columns, of the frame's u8 values."""

    mean: Tensor
    deviation: Tensor
    stem: tuple[Conv, Conv, Conv]  # the first takes an image
    join1: Join
    join1_image: Join
    down2: Down
    blocks2: tuple[Block, ...]
    join2_last: Join
    join2_down: Join
    join2_image: Join
    down3: Down
    blocks3: tuple[Block, ...]
    join3_down: Join
    join3_last: Join
    classifier: Classifier


@torch.no_grad()
def fold(model: net.CGNet, spec: InputSpec) -> Folded:
    """The weights of `model` for frames of `spec`, in float64, on the CPU."""
    order = torch.tensor(spec.channels).argsort()  # which of the network's channels a frame's channel is
    first, second, third = (_conv(layer) for layer in model.stem if isinstance(layer, net.ConvBnPrelu))
    scale1, bias1, slope1 = _affine(model.join1)
    scale2, bias2, slope2 = _affine(model.join2)
    scale3, bias3, slope3 = _affine(model.join3)

    def part(scale: Tensor, bias: Tensor, slope: Tensor, start: int, end: int) -> Join:
        return Join(scale[start:end], bias[start:end], slope[start:end])

    def image(scale: Tensor, bias: Tensor, slope: Tensor) -> Join:
        """The last three channels of a join, in the frame's order, as columns."""
        return Join(*(_columns(values[-3:][order]) for values in (scale, bias, slope)))

    return Folded(
        mean=_columns(_double(torch.tensor(spec.mean))[order]),
        deviation=_columns(_double(torch.tensor(spec.std))[order], filled=1.0),
        stem=(Conv(_window(first.weight, order), first.bias, first.slope), second, third),
        join1=part(scale1, bias1, slope1, 0, 32),
        join1_image=image(scale1, bias1, slope1),
        down2=_down(model.stage2[0], (32,), order),
        blocks2=tuple(_block(block) for block in list(model.stage2)[1:]),
        join2_last=part(scale2, bias2, slope2, 0, 64),
        join2_down=part(scale2, bias2, slope2, 64, 128),
        join2_image=image(scale2, bias2, slope2),
        down3=_down(model.stage3[0], (64, 64), order),
        blocks3=tuple(_block(block) for block in list(model.stage3)[1:]),
        join3_down=part(scale3, bias3, slope3, 0, 128),
        join3_last=part(scale3, bias3, slope3, 128, 256),
        classifier=_classifier(model.classifier),
    )


def stored(weights: T, dtype: torch.dtype, device: torch.device) -> T:
    """`weights` as kernels read them: operands of matrix products in `dtype`, all else in f32 (f64 for f64)."""
    rest = torch.float64 if dtype == torch.float64 else torch.float32

    def moved(value: Any, kind: torch.dtype) -> Any:
        if isinstance(value, Tensor):
            return value.to(device, kind).contiguous()
        if isinstance(value, tuple):
            return tuple(moved(item, kind) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            operands = getattr(value, "operands", ())
            parts = {
                f.name: moved(getattr(value, f.name), dtype if f.name in operands else rest) for f in fields(value)
            }
            return type(value)(**parts)
        return value

    result: T = moved(weights, rest)
    return result


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()


def _scale_and_bias(bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    if bn.running_var is None or bn.running_mean is None:
        raise ValueError("a BatchNorm without statistics can't be folded")
    scale = _double(bn.weight) / (_double(bn.running_var) + bn.eps).sqrt()
    return scale, _double(bn.bias) - _double(bn.running_mean) * scale


def _affine(join: net.Join) -> tuple[Tensor, Tensor, Tensor]:
    return *_scale_and_bias(join.bn), _double(join.act.weight)


def _conv(layer: net.ConvBnPrelu) -> Conv:
    scale, bias = _scale_and_bias(layer.bn)
    weight = _double(layer.conv.weight) * scale[:, None, None, None]
    return Conv(weight.permute(2, 3, 1, 0).flatten(0, 1), bias, _double(layer.act.weight))


def _window(weight: Tensor, order: Tensor) -> Tensor:
    """(9, 3, C) -> (32, C): one row for each value of an image's window."""
    return torch.cat([weight[:, order].flatten(0, 1), weight.new_zeros(WINDOW - 27, weight.shape[2])])


def _columns(channels: Tensor, filled: float = 0.0) -> Tensor:
    """(3,) -> (32,): a value for each of an image's channels, for each value of its windows."""
    return torch.cat([channels.repeat(9), channels.new_full((WINDOW - 27,), filled)])


def _joint(block: net.Block | net.DownBlock) -> Joint:
    scale, bias = _scale_and_bias(block.bn)
    both = torch.cat([_double(block.local.weight), _double(block.surround.weight)])  # (2C, 1, 3, 3)
    local, surround = (both.flatten(1) * scale[:, None]).chunk(2)
    return Joint(torch.cat([local.T, surround.T]), bias, _double(block.act.weight))


def _gate(gate: net.Gate, before: Tensor | None = None) -> Gate:
    """before: (C, C_in), a linear map between the mean and the gate."""
    squeeze = _double(gate.squeeze.weight)
    return Gate(
        squeeze if before is None else squeeze @ before,
        _double(gate.squeeze.bias),
        _double(gate.excite.weight),
        _double(gate.excite.bias),
    )


def _block(block: nn.Module) -> Block:
    if not isinstance(block, net.Block):
        raise TypeError(f"{type(block).__name__} is no Block")
    return Block(_conv(block.entry), _joint(block), _gate(block.gate))


def _down(block: nn.Module, features: Sequence[int], order: Tensor) -> Down:
    """features: the channels of what is concatenated before the image."""
    if not isinstance(block, net.DownBlock):
        raise TypeError(f"{type(block).__name__} is no DownBlock")
    entry = _conv(block.entry)
    *parts, image = torch.split(entry.weight, [*features, 3], dim=1)
    reduce = _double(block.reduce.weight).flatten(1)  # (C, 2C)
    return Down(
        first=Conv(parts[0], entry.bias, entry.slope),
        second=parts[1] if len(parts) > 1 else None,
        image=_window(image, order),
        joint=_joint(block),
        gate=_gate(block.gate, before=reduce),
        reduce=reduce.T,
    )


def _classifier(layer: nn.Conv2d) -> Classifier:
    classes = layer.out_channels
    width = max(LEAST, 1 << (classes - 1).bit_length())
    weight = torch.zeros(256, width, dtype=torch.float64)
    bias = torch.zeros(width, dtype=torch.float64)
    weight[:, :classes] = _double(layer.weight).flatten(1).T
    if layer.bias is not None:
        bias[:classes] = _double(layer.bias)
    return Classifier(classes, weight, bias)
