"""The last block of stage 2: only the join behind it reads what it gives, so only the joined map is written.

out = PReLU(scale (x + g y) + bias)
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import prelu
from cgnet_deploy.engines.fast.fold import Join
from cgnet_deploy.engines.fast.launch import Launch, Tile
from cgnet_deploy.engines.fast.plain import joined


@triton.jit
def join_kernel(x, y, gate, scale, bias, slope, out, area, C: tl.constexpr, PIXELS: tl.constexpr):
    n = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    kept = (pixel < area)[:, None]
    c = tl.arange(0, C)
    here = pixel[:, None] * C + c[None, :]
    before = n * area * C  # values of the images before
    g = tl.load(gate + n * C + c)[None, :]
    residual = tl.load(x + before + here, mask=kept, other=0.0).to(tl.float32)
    feature = tl.load(y + before + here, mask=kept, other=0.0).to(tl.float32)
    value = (residual + g * feature) * tl.load(scale + c)[None, :] + tl.load(bias + c)[None, :]
    value = prelu(value, tl.load(slope + c)[None, :])
    tl.store(out + before + here, value.to(out.dtype.element_ty), mask=kept)


def join(x: Tensor, y: Tensor, gate: Tensor, affine: Join, out: Tensor, tile: Tile) -> Launch:
    """x, y (N, H, W, C), gate (N, C) -> out, as large, which may be x itself."""
    n, height, width, c = x.shape
    area = height * width

    def reference() -> None:
        out.copy_(joined(x + gate.to(x.dtype)[:, None, None] * y, affine))

    return Launch(
        f"join {c}",
        join_kernel,
        (-(-area // tile.pixels), n, 1),
        tile,
        dict(x=x, y=y, gate=gate, scale=affine.scale, bias=affine.bias, slope=affine.slope, out=out, area=area),
        dict(C=c, PIXELS=tile.pixels),
        reads=("x", "y"),
        writes=("out",),
        reference=reference,
    )
