"""A 3x3 convolution of the stem with its bias and PReLU, and, for the last one, its part of the join behind it.

    out = PReLU(conv(x) + bias)     or, joined,     PReLU(scale PReLU(conv(x) + bias) + offset)

As a matrix product for each tap, (pixels, C) by (C, C), summed in f32; a tile's nine shifted copies of the input come
from the caches.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import convolved, positions, prelu
from cgnet_deploy.engines.fast.fold import Conv, Join
from cgnet_deploy.engines.fast.launch import Launch, Tile, chunk, precision, tiles
from cgnet_deploy.engines.fast.plain import conv3, joined
from cgnet_deploy.engines.fast.plain import prelu as plain_prelu


@triton.jit
def conv_kernel(
    source,
    weight,
    bias,
    slope,
    join_scale,
    join_bias,
    join_slope,
    out,
    height,
    width,
    across,
    C: tl.constexpr,
    JOINED: tl.constexpr,
    CHUNK: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    rows, cols = positions(tl.program_id(0), across, ROWS, COLS)
    c = tl.arange(0, C)
    sums = tl.zeros([ROWS * COLS, C], tl.float32)
    sums = convolved(
        sums,
        source + n * height * width * C,
        weight,
        bias,
        bias,
        bias,
        rows,
        cols,
        height,
        width,
        C,
        C,
        1,
        False,
        CHUNK,
        PRECISION,
    )
    value = prelu(sums + tl.load(bias + c)[None, :], tl.load(slope + c)[None, :])
    if JOINED:
        value = value * tl.load(join_scale + c)[None, :] + tl.load(join_bias + c)[None, :]
        value = prelu(value, tl.load(join_slope + c)[None, :])
    kept = ((rows < height) & (cols < width))[:, None]
    at = (rows * width + cols)[:, None]
    tl.store(out + n * height * width * C + at * C + c[None, :], value.to(out.dtype.element_ty), mask=kept)


def conv(x: Tensor, weights: Conv, join: Join | None, out: Tensor, tile: Tile) -> Launch:
    """x (N, H, W, C) -> out, as large. C: a power of two, at least 16."""
    n, height, width, c = x.shape
    count, across = tiles(height, width, tile)
    epilogue = join or Join(weights.bias, weights.bias, weights.bias)  # a kernel's pointers must point somewhere

    def reference() -> None:
        value = plain_prelu(conv3(x, weights.weight, stride=1) + weights.bias, weights.slope)
        out.copy_(joined(value, join) if join else value)

    return Launch(
        f"conv {c}",
        conv_kernel,
        (count, n, 1),
        tile,
        dict(
            source=x,
            weight=weights.weight,
            bias=weights.bias,
            slope=weights.slope,
            join_scale=epilogue.scale,
            join_bias=epilogue.bias,
            join_slope=epilogue.slope,
            out=out,
            height=height,
            width=width,
            across=across,
        ),
        dict(
            C=c,
            JOINED=join is not None,
            CHUNK=chunk(c, x.dtype),
            ROWS=tile.rows,
            COLS=tile.cols,
            PRECISION=precision(x.dtype),
        ),
        reads=("source",),
        writes=("out",),
        reference=reference,
    )
