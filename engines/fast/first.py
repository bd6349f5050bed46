"""The stem's first convolution, from u8 frames, and the pooled image: one pass over the frame.

image  = (frame - mean) / deviation        zeros around it lie around this, not around the frame
out    = PReLU(conv 3x3 stride 2 (image) + bias)
pooled = mean of the same 3x3 windows
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import pooled, positions, prelu, window
from cgnet_deploy.engines.fast.fold import Conv
from cgnet_deploy.engines.fast.launch import Launch, Tile, precision, tiles
from cgnet_deploy.engines.fast.plain import halved, image_conv
from cgnet_deploy.engines.fast.plain import prelu as plain_prelu


@triton.jit
def first_kernel(
    frames,
    mean,
    deviation,
    weight,
    bias,
    slope,
    out,
    half,
    height,
    width,
    out_height,
    out_width,
    across,
    C: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    rows, cols = positions(tl.program_id(0), across, ROWS, COLS)
    k = tl.arange(0, 32)
    c = tl.arange(0, C)
    raw, inside = window(frames + n * height * width * 3, rows, cols, height, width)
    image = (raw.to(tl.float32) - tl.load(mean + k)[None, :]) / tl.load(deviation + k)[None, :]
    image = tl.where(inside, image, 0.0).to(out.dtype.element_ty)
    sums = tl.dot(image, tl.load(weight + k[:, None] * C + c[None, :]), input_precision=PRECISION)
    value = prelu(sums + tl.load(bias + c)[None, :], tl.load(slope + c)[None, :])

    kept = ((rows < out_height) & (cols < out_width))[:, None]
    at = (rows * out_width + cols)[:, None]
    out_area = n * out_height * out_width
    tl.store(out + out_area * C + at * C + c[None, :], value.to(out.dtype.element_ty), mask=kept)
    channel = tl.arange(0, 16)
    mean3 = pooled(image, PRECISION)
    into = half + out_area * 3 + at * 3 + channel[None, :]
    tl.store(into, mean3.to(half.dtype.element_ty), mask=kept & (channel < 3)[None, :])


def first(frames: Tensor, mean: Tensor, deviation: Tensor, conv: Conv, out: Tensor, half: Tensor, tile: Tile) -> Launch:
    """frames (N, H, W, 3) u8 -> out (N, H/2, W/2, 32), half (N, H/2, W/2, 3), sides rounded up.

    mean, deviation: columns (see fold.py). The pooled image keeps the frame's order of channels.
    """
    n, height, width, _ = frames.shape
    _, out_height, out_width, c = out.shape
    count, across = tiles(out_height, out_width, tile)

    def reference() -> None:
        image = (frames.to(out.dtype) - mean[:3]) / deviation[:3]
        out.copy_(plain_prelu(image_conv(image, conv.weight) + conv.bias, conv.slope))
        half.copy_(halved(image))

    return Launch(
        "first",
        first_kernel,
        (count, n, 1),
        tile,
        dict(
            frames=frames,
            mean=mean,
            deviation=deviation,
            weight=conv.weight,
            bias=conv.bias,
            slope=conv.slope,
            out=out,
            half=half,
            height=height,
            width=width,
            out_height=out_height,
            out_width=out_width,
            across=across,
        ),
        dict(C=c, ROWS=tile.rows, COLS=tile.cols, PRECISION=precision(out.dtype)),
        reads=("frames",),
        writes=("out", "half"),
        reference=reference,
    )
