"""What several kernels share: functions that Triton inlines."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def prelu(x, slope):
    return tl.where(x > 0, x, x * slope)


@triton.jit
def positions(tile, across, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Row and column of each output pixel of a tile, (ROWS * COLS,) both."""
    pixel = tl.arange(0, ROWS * COLS)
    return (tile // across) * ROWS + pixel // COLS, (tile % across) * COLS + pixel % COLS


@triton.jit
def convolved(
    sums,
    source,
    weight,
    scale,
    bias,
    slope,
    rows,
    cols,
    height,
    width,
    C_IN: tl.constexpr,
    C_OUT: tl.constexpr,
    STRIDE: tl.constexpr,
    JOINED: tl.constexpr,
    CHUNK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """sums + a 3x3 convolution of `source`, (height, width, C_IN), at the output pixels (rows, cols).

    JOINED: of PReLU(scale x + bias) instead of x. Zeros lie around the map either way. CHUNK: how many channels of one
    tap a matrix product takes.
    """
    PARTS: tl.constexpr = C_IN // CHUNK
    k = tl.arange(0, C_OUT)
    for step in range(9 * PARTS):
        tap = step // PARTS
        c = (step % PARTS) * CHUNK + tl.arange(0, CHUNK)
        y = rows * STRIDE + tap // 3 - 1
        x = cols * STRIDE + tap % 3 - 1
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        a = tl.load(source + (y * width + x)[:, None] * C_IN + c[None, :], mask=inside[:, None], other=0.0)
        if JOINED:
            affine = a.to(tl.float32) * tl.load(scale + c)[None, :] + tl.load(bias + c)[None, :]
            joined = prelu(affine, tl.load(slope + c)[None, :])
            a = tl.where(inside[:, None], joined, 0.0).to(source.dtype.element_ty)
        b = tl.load(weight + (tap * C_IN + c)[:, None] * C_OUT + k[None, :])
        sums = tl.dot(a, b, sums, input_precision=PRECISION)
    return sums


@triton.jit
def window(source, rows, cols, height, width):
    """(pixels, 32): the 3x3 windows, stride 2, of an image of 3 channels, and which values of them lie inside it.

    Column 3 tap + channel; columns 27 to 31 and what lies around the image are 0.
    """
    k = tl.arange(0, 32)
    tap = k // 3
    y = rows[:, None] * 2 + (tap // 3)[None, :] - 1
    x = cols[:, None] * 2 + (tap % 3)[None, :] - 1
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (k < 27)[None, :]
    values = tl.load(source + (y * width + x) * 3 + (k % 3)[None, :], mask=inside, other=0)
    return values, inside


@triton.jit
def pooled(values, PRECISION: tl.constexpr):
    """(pixels, 32) windows -> (pixels, 16): means of the nine, in columns 0 to 2, one a channel."""
    k = tl.arange(0, 32)
    channel = tl.arange(0, 16)
    # ones, not ninths: those are no f16
    ones = ((k % 3)[:, None] == channel[None, :]) & (k < 27)[:, None]
    sums = tl.dot(values, ones.to(values.dtype), input_precision=PRECISION)
    return sums / 9
