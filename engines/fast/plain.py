"""What the kernels' references share: plain torch on maps that lie as (N, H, W, C)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.engines.fast.fold import Join


def channels_first(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W), a view."""
    return x.movedim(-1, 1)


def channels_last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), a view."""
    return x.movedim(1, -1)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * slope)


def joined(x: Tensor, join: Join, channels: int | None = None) -> Tensor:
    """PReLU(scale x + bias) over the last side of `x`. channels: of an image, whose join is given as columns."""
    return prelu(x * join.scale[:channels] + join.bias[:channels], join.slope[:channels])


def conv3(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """(N, H, W, C_in) by (9, C_in, C_out) -> (N, ceil(H/stride), ceil(W/stride), C_out)."""
    kernel = weight.reshape(3, 3, *weight.shape[1:]).permute(3, 2, 0, 1)
    return channels_last(F.conv2d(channels_first(x), kernel, stride=stride, padding=1))


def image_conv(x: Tensor, weight: Tensor) -> Tensor:
    """(N, H, W, 3) by (32, C_out): stride 2."""
    return conv3(x, weight[:27].reshape(9, 3, -1), stride=2)


def halved(x: Tensor) -> Tensor:
    """(N, H, W, 3): the mean of each 3x3 window, stride 2, by nine everywhere."""
    return channels_last(F.avg_pool2d(channels_first(x), 3, stride=2, padding=1))
