"""CGNet (arXiv 1811.08201), leaf to root.

    CG block      y = PReLU(BN(concat[local(t), surround(t)]))    t = entry(x), two depthwise 3x3 convolutions,
                                                                  `surround` dilated
                  gate(y) = y * sigmoid(W2 relu(W1 mean(y) + b1) + b2)      mean over H, W: the global context
    normal block  x + gate(y)
    down block    gate(reduce(y)), at half the size, twice the width, no residual

Traps: BatchNorm's eps is 1e-3 (with torch's 1e-5 the published weights overflow); the pool always divides by
9, borders included; stage 3 is joined in the other order than stage 2; both M and N count the down block.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import MAX_BLOCKS, MAX_CLASSES

BN_EPS = 1e-3
TINY = 1e-20  # a weight below it adds less than 1e-12 to a sum: see export/tiny.py
GATE_WIDTH = 8  # hidden channels of every gate: 64/8 = 128/16

Style = Literal["official", "mmseg"]


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Numbers below 1.2e-38 count as 0 within: in this thread, and in those that PyTorch starts within."""
    flushed = float(np.float32(1e-39) * np.float32(1)) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def without_tiny(model: CGNet) -> CGNet:
    """A copy whose weights below TINY are 0.

    Weight decay left 256,386 denormals in the official CamVid weights. An Intel Xeon takes 5 to 16 s a frame with them
    and 0.3 s without, to the same bits; an AMD EPYC hardly notices.
    """
    model = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.masked_fill_(weight.abs() < TINY, 0)
    return model


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS)


def depthwise(channels: int, dilation: int) -> nn.Conv2d:
    """A 3x3 filter for each channel, same size out."""
    return nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)


def halve(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2)): the size that a stride-2 convolution gives."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


class ConvBnPrelu(nn.Module):
    """Convolution, BatchNorm, PReLU: (N, c_in, H, W) -> (N, c_out, ceil(H/stride), ceil(W/stride))."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = batch_norm(c_out)
        self.act = nn.PReLU(c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class Join(nn.Module):
    """PReLU(BN(concat)) of branches of one size, `channels` in all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = batch_norm(channels)
        self.act = nn.PReLU(channels)

    def forward(self, *branches: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(torch.cat(branches, 1)))
        return y


class Gate(nn.Module):
    """Scale each channel by a weight computed from the full image (F_glo of the paper)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, GATE_WIDTH)
        self.excite = nn.Linear(GATE_WIDTH, channels)

    def forward(self, x: Tensor) -> Tensor:
        context = x.mean((2, 3))  # (N, C)
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(context))))  # (N, C)
        return x * weight.unsqueeze(-1).unsqueeze(-1)


class DownBlock(nn.Module):
    """(N, c_in, H, W) -> (N, c, ceil(H/2), ceil(W/2))."""

    def __init__(self, c_in: int, c: int, dilation: int) -> None:
        super().__init__()
        self.entry = ConvBnPrelu(c_in, c, kernel=3, stride=2)
        self.local = depthwise(c, 1)
        self.surround = depthwise(c, dilation)
        self.bn = batch_norm(2 * c)
        self.act = nn.PReLU(2 * c)
        self.reduce = nn.Conv2d(2 * c, c, 1, bias=False)  # followed by no BatchNorm and no activation
        self.gate = Gate(c)

    def forward(self, x: Tensor) -> Tensor:
        t = self.entry(x)  # (N, c, H/2, W/2)
        y = self.act(self.bn(torch.cat([self.local(t), self.surround(t)], 1)))  # (N, 2c, H/2, W/2)
        z: Tensor = self.gate(self.reduce(y))
        return z


class Block(nn.Module):
    """(N, c, H, W) -> (N, c, H, W)."""

    def __init__(self, c: int, dilation: int) -> None:
        super().__init__()
        self.entry = ConvBnPrelu(c, c // 2, kernel=1)
        self.local = depthwise(c // 2, 1)
        self.surround = depthwise(c // 2, dilation)
        self.bn = batch_norm(c)
        self.act = nn.PReLU(c)
        self.gate = Gate(c)

    def forward(self, x: Tensor) -> Tensor:
        t = self.entry(x)  # (N, c/2, H, W)
        y = self.act(self.bn(torch.cat([self.local(t), self.surround(t)], 1)))  # (N, c, H, W)
        z: Tensor = x + self.gate(y)
        return z


class CGNet(nn.Module):
    """(N, 3, H, W) f32, normalised -> (N, K, H, W) logits, for any H and W.

    classes: K. blocks: (M, N), the blocks of stage 2 and of stage 3, each with its down block.
    classifier_bias: mmsegmentation has one, the official code has none. Raises UsageError out of bounds.
    """

    def __init__(self, classes: int, blocks: tuple[int, int] = (3, 21), classifier_bias: bool = False) -> None:
        super().__init__()
        if not 1 <= classes <= MAX_CLASSES:
            raise UsageError(f"{classes} classes: a CGNet here has 1 to {MAX_CLASSES}")
        if not all(2 <= count <= MAX_BLOCKS for count in blocks):
            raise UsageError(f"blocks (M, N) = {blocks}: each must be 2 to {MAX_BLOCKS}")
        self.classes = classes
        self.blocks = blocks
        m, n = blocks
        self.stem = nn.Sequential(ConvBnPrelu(3, 32, 3, stride=2), ConvBnPrelu(32, 32, 3), ConvBnPrelu(32, 32, 3))
        self.join1 = Join(32 + 3)
        self.stage2 = nn.ModuleList([DownBlock(35, 64, dilation=2), *(Block(64, dilation=2) for _ in range(m - 1))])
        self.join2 = Join(64 + 64 + 3)
        self.stage3 = nn.ModuleList([DownBlock(131, 128, dilation=4), *(Block(128, dilation=4) for _ in range(n - 1))])
        self.join3 = Join(128 + 128)
        self.classifier = nn.Conv2d(256, classes, 1, bias=classifier_bias)

    def scores(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, K, ceil(H/8), ceil(W/8)): the logits before they are resized."""
        half = halve(x)  # (N, 3, H/2, W/2)
        quarter = halve(half)  # (N, 3, H/4, W/4)
        first = self.join1(self.stem(x), half)  # (N, 35, H/2, W/2)
        down2, last2 = run(self.stage2, first)  # (N, 64, H/4, W/4), both
        second = self.join2(last2, down2, quarter)  # (N, 131, H/4, W/4)
        down3, last3 = run(self.stage3, second)  # (N, 128, H/8, W/8), both
        third = self.join3(down3, last3)  # (N, 256, H/8, W/8); the down block comes first here
        scores: Tensor = self.classifier(third)
        return scores

    def forward(self, x: Tensor) -> Tensor:
        # The target size, not a factor of 8, sets the scale: 97 rows become 13, and 13/97 is not 1/8.
        return F.interpolate(self.scores(x), size=x.shape[-2:], mode="bilinear", align_corners=False)


def run(stage: nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the stage's down block gives, and what its last block gives."""
    down = last = stage[0](x)
    for block in list(stage)[1:]:
        last = block(last)
    return down, last


def initialise(model: CGNet, style: Style) -> None:
    """Draw fresh weights as one of the published code bases does, from torch's global generator.

    official: convolutions He-normal over fan in, gates as torch draws a Linear, PReLU slopes 0.25.
    mmseg: convolutions and gates He-normal over fan out (which ignores groups: depthwise filters start
    small), gate biases 0, PReLU slopes 0, classifier normal with deviation 0.01.
    """
    official = style == "official"
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.PReLU):
            nn.init.constant_(module.weight, 0.25 if official else 0.0)
        elif isinstance(module, nn.Linear) and official:
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in" if official else "fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if not official:
        nn.init.normal_(model.classifier.weight, std=0.01)
