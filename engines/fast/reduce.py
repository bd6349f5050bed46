"""The end of a down block and the 1x1 of the block behind it.

z = g (reduce y)             the gate is known before the 1x1 runs, for mean(reduce y) = reduce mean(y)
t = PReLU(entry z + bias)
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import prelu
from cgnet_deploy.engines.fast.fold import Conv
from cgnet_deploy.engines.fast.launch import Launch, Tile, chunk, precision
from cgnet_deploy.engines.fast.plain import prelu as plain_prelu


@triton.jit
def reduce_kernel(
    y,
    gate,
    reduce,
    weight,
    bias,
    slope,
    z,
    t,
    area,
    C_IN: tl.constexpr,
    C: tl.constexpr,
    C_NEXT: tl.constexpr,
    CHUNK: tl.constexpr,
    PIXELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    kept = (pixel < area)[:, None]
    i = tl.arange(0, CHUNK)
    c = tl.arange(0, C)
    k = tl.arange(0, C_NEXT)
    at = pixel[:, None]
    before = n * area  # pixels of the images before
    sums = tl.zeros([PIXELS, C], tl.float32)
    for start in range(0, C_IN, CHUNK):
        a = tl.load(y + before * C_IN + at * C_IN + (start + i)[None, :], mask=kept, other=0.0)
        b = tl.load(reduce + (start + i)[:, None] * C + c[None, :])
        sums = tl.dot(a, b, sums, input_precision=PRECISION)
    gated = (sums * tl.load(gate + n * C + c)[None, :]).to(z.dtype.element_ty)
    tl.store(z + before * C + at * C + c[None, :], gated, mask=kept)
    next_sums = tl.dot(gated, tl.load(weight + c[:, None] * C_NEXT + k[None, :]), input_precision=PRECISION)
    value = prelu(next_sums + tl.load(bias + k)[None, :], tl.load(slope + k)[None, :])
    tl.store(t + before * C_NEXT + at * C_NEXT + k[None, :], value.to(t.dtype.element_ty), mask=kept)


def reduce(y: Tensor, gate: Tensor, weight: Tensor, entry: Conv, z: Tensor, t: Tensor, tile: Tile) -> Launch:
    """y (N, H, W, 2C), gate (N, C), weight (2C, C) -> z (N, H, W, C), t (N, H, W, C/2)."""
    n, height, width, c_in = y.shape
    area, c = height * width, z.shape[3]

    def reference() -> None:
        z.copy_((y @ weight) * gate.to(y.dtype)[:, None, None])
        t.copy_(plain_prelu(z @ entry.weight[0] + entry.bias, entry.slope))

    return Launch(
        f"reduce {c_in}",
        reduce_kernel,
        (-(-area // tile.pixels), n, 1),
        tile,
        dict(
            y=y, gate=gate, reduce=weight, weight=entry.weight, bias=entry.bias, slope=entry.slope, z=z, t=t, area=area
        ),
        dict(
            C_IN=c_in,
            C=c,
            C_NEXT=t.shape[3],
            CHUNK=chunk(c_in, z.dtype),
            PIXELS=tile.pixels,
            PRECISION=precision(z.dtype),
        ),
        reads=("y",),
        writes=("z", "t"),
        reference=reference,
    )
