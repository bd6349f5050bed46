"""Two layers of CGNet whose backward pass PyTorch is slow at on a CPU, with another one.

PReLU               PyTorch's kernel isn't vectorised; a threshold, a difference and an addcmul are
dilated depthwise   the gradient of the input is the convolution of the output's with the turned filter, the forward
                    kernel is fast at that. The gradient of the filter is that of an undilated one, on the d^2 pictures
                    that are every d-th pixel of each row and column

Values and gradients are those of the layers that they stand in for, but for the order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight


def with_fast_backward(model: nn.Module) -> None:
    """Replace the two layers in `model`, parameters and their names kept."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            new: nn.Module
            if type(layer) is nn.PReLU:
                new = _Prelu(layer.num_parameters)
            elif type(layer) is nn.Conv2d and layer.groups == layer.in_channels > 1 and layer.dilation[0] > 1:
                dilation = layer.dilation[0]
                new = _DilatedDepthwise(
                    layer.in_channels, layer.in_channels, 3, 1, dilation, dilation, layer.groups, bias=False
                )
            else:
                continue
            new.weight = layer.weight
            setattr(parent, name, new.train(layer.training))


class _Prelu(nn.PReLU):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _PreluFunction.apply(x, self.weight)  # type: ignore[no-untyped-call]
        return y


class _PreluFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(x, slopes)
        return F.prelu(x, slopes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, slopes = ctx.saved_tensors
        above = torch.ops.aten.threshold_backward(grad, x, 0)  # where x > 0
        below = grad - above
        return torch.addcmul(above, below, slopes.view(-1, 1, 1)), (below * x).sum((0, 2, 3))


class _DilatedDepthwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _DilatedFunction.apply(x, self.weight, self.dilation[0])  # type: ignore[no-untyped-call]
        return y


class _DilatedFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv2d(x, weight, None, 1, dilation, dilation, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (x, weight), d, channels = ctx.saved_tensors, ctx.dilation, grad.shape[1]
        of_x = F.conv2d(grad, weight.flip(2, 3), None, 1, d, d, channels)
        parts = _phases(x, d), weight.shape, _phases(grad, d)
        of_weight = conv2d_weight(*parts, padding=1, groups=channels)  # type: ignore[no-untyped-call]
        return of_x, of_weight, None


def _phases(x: Tensor, d: int) -> Tensor:
    """(N, C, H, W) -> (N d^2, C, ceil(H/d), ceil(W/d)): every d-th pixel, padded with 0, channels last."""
    rows = x.permute(0, 2, 3, 1)  # (N, H, W, C), contiguous where channels are last
    n, h, w, c = rows.shape
    rows = F.pad(rows, (0, 0, 0, -w % d, 0, -h % d))
    parts = rows.view(n, -(-h // d), d, -(-w // d), d, c).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(n * d * d, -(-h // d), -(-w // d), c).permute(0, 3, 1, 2)
