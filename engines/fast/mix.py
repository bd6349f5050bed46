"""What lies between the joint features of two normal blocks: one's gate and residual, the other's 1x1.

x' = x + g y
t  = PReLU(entry x' + bias)
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
def mix_kernel(
    x,
    y,
    gate,
    weight,
    bias,
    slope,
    out,
    t,
    area,
    C: tl.constexpr,
    C_NEXT: tl.constexpr,
    CHUNK: tl.constexpr,
    PIXELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    kept = (pixel < area)[:, None]
    k = tl.arange(0, C_NEXT)
    before = n * area  # pixels of the images before
    sums = tl.zeros([PIXELS, C_NEXT], tl.float32)
    for start in range(0, C, CHUNK):
        c = start + tl.arange(0, CHUNK)
        here = pixel[:, None] * C + c[None, :]
        g = tl.load(gate + n * C + c)[None, :]
        residual = tl.load(x + before * C + here, mask=kept, other=0.0).to(tl.float32)
        feature = tl.load(y + before * C + here, mask=kept, other=0.0).to(tl.float32)
        mixed = (residual + g * feature).to(out.dtype.element_ty)
        tl.store(out + before * C + here, mixed, mask=kept)
        sums = tl.dot(mixed, tl.load(weight + c[:, None] * C_NEXT + k[None, :]), sums, input_precision=PRECISION)
    value = prelu(sums + tl.load(bias + k)[None, :], tl.load(slope + k)[None, :])
    tl.store(t + before * C_NEXT + pixel[:, None] * C_NEXT + k[None, :], value.to(t.dtype.element_ty), mask=kept)


def mix(x: Tensor, y: Tensor, gate: Tensor, entry: Conv, out: Tensor, t: Tensor, tile: Tile) -> Launch:
    """x, y (N, H, W, C), gate (N, C) -> out, as large, which may be x itself, and t (N, H, W, C/2)."""
    n, height, width, c = x.shape
    area = height * width

    def reference() -> None:
        out.copy_(x + gate.to(x.dtype)[:, None, None] * y)
        t.copy_(plain_prelu(out @ entry.weight[0] + entry.bias, entry.slope))

    return Launch(
        f"mix {c}",
        mix_kernel,
        (-(-area // tile.pixels), n, 1),
        tile,
        dict(x=x, y=y, gate=gate, weight=entry.weight, bias=entry.bias, slope=entry.slope, out=out, t=t, area=area),
        dict(C=c, C_NEXT=t.shape[3], CHUNK=chunk(c, x.dtype), PIXELS=tile.pixels, PRECISION=precision(x.dtype)),
        reads=("x", "y"),
        writes=("out", "t"),
        reference=reference,
    )
