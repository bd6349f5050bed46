"""The last block of stage 3, the join behind it and the classifier: of all this only the scores are written.

scores = W concat[join(down), join(x + g y)] + bias
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import prelu
from cgnet_deploy.engines.fast.fold import Classifier, Join
from cgnet_deploy.engines.fast.launch import Launch, Tile, chunk, precision
from cgnet_deploy.engines.fast.plain import channels_first, joined


@triton.jit
def head_kernel(
    down,
    x,
    y,
    gate,
    down_scale,
    down_bias,
    down_slope,
    last_scale,
    last_bias,
    last_slope,
    weight,
    bias,
    scores,
    area,
    classes,
    C: tl.constexpr,
    WIDTH: tl.constexpr,
    CHUNK: tl.constexpr,
    PIXELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    kept = (pixel < area)[:, None]
    k = tl.arange(0, WIDTH)
    before = n * area * C  # values of the images before
    sums = tl.zeros([PIXELS, WIDTH], tl.float32)
    for start in range(0, C, CHUNK):
        c = start + tl.arange(0, CHUNK)
        here = pixel[:, None] * C + c[None, :]
        first = tl.load(down + before + here, mask=kept, other=0.0).to(tl.float32)
        first = first * tl.load(down_scale + c)[None, :] + tl.load(down_bias + c)[None, :]
        first = prelu(first, tl.load(down_slope + c)[None, :]).to(down.dtype.element_ty)
        of_first = tl.load(weight + c[:, None] * WIDTH + k[None, :])
        sums = tl.dot(first, of_first, sums, input_precision=PRECISION)

        last = tl.load(x + before + here, mask=kept, other=0.0).to(tl.float32)
        g = tl.load(gate + n * C + c)[None, :]
        last += g * tl.load(y + before + here, mask=kept, other=0.0).to(tl.float32)
        last = last * tl.load(last_scale + c)[None, :] + tl.load(last_bias + c)[None, :]
        last = prelu(last, tl.load(last_slope + c)[None, :]).to(x.dtype.element_ty)
        of_last = tl.load(weight + (C + c)[:, None] * WIDTH + k[None, :])
        sums = tl.dot(last, of_last, sums, input_precision=PRECISION)
    sums += tl.load(bias + k)[None, :]
    # channels first: the kernel that enlarges them reads neighbours of one class
    at = scores + n * classes * area + k[None, :] * area + pixel[:, None]
    tl.store(at, sums, mask=kept & (k < classes)[None, :])


def head(
    down: Tensor,
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    down_join: Join,
    last_join: Join,
    weights: Classifier,
    scores: Tensor,
    tile: Tile,
) -> Launch:
    """down, x, y (N, H, W, C), gate (N, C) -> scores (N, K, H, W) f32."""
    n, height, width, c = x.shape
    area = height * width

    def reference() -> None:
        last = joined(x + gate.to(x.dtype)[:, None, None] * y, last_join)
        both = torch.cat([joined(down, down_join), last], 3)
        scores.copy_(channels_first(both @ weights.weight + weights.bias)[:, : weights.classes])

    return Launch(
        f"head {c}",
        head_kernel,
        (-(-area // tile.pixels), n, 1),
        tile,
        dict(
            down=down,
            x=x,
            y=y,
            gate=gate,
            down_scale=down_join.scale,
            down_bias=down_join.bias,
            down_slope=down_join.slope,
            last_scale=last_join.scale,
            last_bias=last_join.bias,
            last_slope=last_join.slope,
            weight=weights.weight,
            bias=weights.bias,
            scores=scores,
            area=area,
            classes=weights.classes,
        ),
        dict(
            C=c,
            WIDTH=weights.weight.shape[1],
            CHUNK=chunk(c, x.dtype),
            PIXELS=tile.pixels,
            PRECISION=precision(x.dtype),
        ),
        reads=("down", "x", "y"),
        writes=("scores",),
        reference=reference,
    )
