"""The joint feature of a CG block, and the first half of its global mean, in one pass.

    y       = PReLU(concat[local(t), surround(t)] + bias)      two depthwise 3x3 convolutions, `surround` dilated
    partial = sum of y over each tile                          of f32 values, before y is rounded

A tile reads 17 shifted copies of its input, the middle one once for both; all but one come from the caches. Tiles of
one image leave their sums side by side, and `gate.py` adds them in a fixed order: the same frame gives the same bits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import positions, prelu
from cgnet_deploy.engines.fast.fold import Joint
from cgnet_deploy.engines.fast.launch import Launch, Tile, tiles
from cgnet_deploy.engines.fast.plain import channels_first, channels_last
from cgnet_deploy.engines.fast.plain import prelu as plain_prelu

CHANNELS = 32  # of t, for one program: with more, a thread's sums take too many registers


@triton.jit
def shifted(source, rows, cols, c, height, width, C: tl.constexpr):
    """(pixels, channels) f32: the map at other pixels, zeros around it."""
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    return tl.load(source + (rows * width + cols)[:, None] * C + c[None, :], mask=inside[:, None], other=0.0).to(
        tl.float32
    )


@triton.jit
def finished(sums, bias, slope, y, partial, at, c, kept, C: tl.constexpr):
    """Bias, PReLU, and both stores of one half of the feature."""
    value = prelu(sums + tl.load(bias + c)[None, :], tl.load(slope + c)[None, :])
    tl.store(y + at[:, None] * (2 * C) + c[None, :], value.to(y.dtype.element_ty), mask=kept[:, None])
    tl.store(partial + c, tl.sum(tl.where(kept[:, None], value, 0.0), 0))


@triton.jit
def joint_kernel(
    t,
    taps,
    bias,
    slope,
    y,
    partial,
    height,
    width,
    across,
    C: tl.constexpr,
    CHANNELS: tl.constexpr,
    DILATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    tile = tl.program_id(0)
    n = tl.program_id(2).to(tl.int64)
    rows, cols = positions(tile, across, ROWS, COLS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    source = t + n * height * width * C
    local = tl.zeros([ROWS * COLS, CHANNELS], tl.float32)
    surround = tl.zeros([ROWS * COLS, CHANNELS], tl.float32)
    for tap in range(9):  # not unrolled: 17 loads at once take more registers than there are
        dy = tap // 3 - 1
        dx = tap % 3 - 1
        near = shifted(source, rows + dy, cols + dx, c, height, width, C)
        far = shifted(source, rows + dy * DILATION, cols + dx * DILATION, c, height, width, C)
        local += near * tl.load(taps + tap * C + c)[None, :]
        surround += far * tl.load(taps + (9 + tap) * C + c)[None, :]
    kept = (rows < height) & (cols < width)
    at = rows * width + cols
    y += n * height * width * 2 * C
    sums = partial + (n * tl.num_programs(0) + tile) * (2 * C)
    finished(local, bias, slope, y, sums, at, c, kept, C)
    finished(surround, bias + C, slope + C, y + C, sums + C, at, c, kept, C)


def joint(t: Tensor, weights: Joint, dilation: int, y: Tensor, partial: Tensor, tile: Tile) -> Launch:
    """t (N, H, W, C) -> y (N, H, W, 2C), partial (N, tiles, 2C) f32. C: a power of two, 32 at least."""
    n, height, width, c = t.shape
    count, across = tiles(height, width, tile)

    def reference() -> None:
        near, far = (half.T.reshape(c, 1, 3, 3) for half in weights.taps.to(t.dtype).chunk(2))
        both = (
            F.conv2d(channels_first(t), near, padding=1, groups=c),
            F.conv2d(channels_first(t), far, padding=dilation, dilation=dilation, groups=c),
        )
        feature = plain_prelu(channels_last(torch.cat(both, 1)) + weights.bias, weights.slope)
        y.copy_(feature)
        padded = F.pad(feature, (0, 0, 0, across * tile.cols - width, 0, count // across * tile.rows - height))
        tiled = padded.reshape(n, count // across, tile.rows, across, tile.cols, 2 * c)
        partial.copy_(tiled.sum((2, 4)).flatten(1, 2))

    return Launch(
        f"joint {c}",
        joint_kernel,
        (count, c // CHANNELS, n),
        tile,
        dict(
            t=t,
            taps=weights.taps,
            bias=weights.bias,
            slope=weights.slope,
            y=y,
            partial=partial,
            height=height,
            width=width,
            across=across,
        ),
        dict(C=c, CHANNELS=CHANNELS, DILATION=dilation, ROWS=tile.rows, COLS=tile.cols),
        reads=("t",),
        writes=("y", "partial"),
        reference=reference,
    )
