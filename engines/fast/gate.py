"""The second half of the global mean, and the gate that follows from it: one program for each image.

    g = sigmoid(excite relu(squeeze mean + b1) + b2)

No atomic operation: a program adds its image's partial sums in one fixed order.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.fold import Gate
from cgnet_deploy.engines.fast.launch import Launch, Tile


@triton.jit
def gate_kernel(
    partial,
    squeeze,
    squeeze_bias,
    excite,
    excite_bias,
    gate,
    tiles,
    share,
    C_IN: tl.constexpr,
    C: tl.constexpr,
    HIDDEN: tl.constexpr,
    ROWS: tl.constexpr,
):
    n = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, ROWS)
    i = tl.arange(0, C_IN)
    h = tl.arange(0, HIDDEN)
    c = tl.arange(0, C)
    sums = tl.zeros([ROWS, C_IN], tl.float32)
    for start in range(0, tiles, ROWS):
        at = partial + (n * tiles + start + row)[:, None] * C_IN + i[None, :]
        sums += tl.load(at, mask=(start + row < tiles)[:, None], other=0.0)
    mean = tl.sum(sums, 0) * share
    hidden = tl.sum(tl.load(squeeze + h[:, None] * C_IN + i[None, :]) * mean[None, :], 1)
    hidden = tl.maximum(hidden + tl.load(squeeze_bias + h), 0.0)
    value = tl.sum(tl.load(excite + c[:, None] * HIDDEN + h[None, :]) * hidden[None, :], 1)
    value += tl.load(excite_bias + c)
    tl.store(gate + n * C + c, 1.0 / (1.0 + tl.exp(-value)))


def gate(partial: Tensor, weights: Gate, area: int, out: Tensor, tile: Tile) -> Launch:
    """partial (N, tiles, C_in) f32 -> out (N, C) f32. area: the pixels that the sums are over.

    tile.rows: the partial sums that are read at a time; its columns count for nothing.
    """
    n, count, c_in = partial.shape
    hidden = weights.squeeze.shape[0]

    def reference() -> None:
        mean = partial.sum(1) / area
        squeezed = torch.relu(mean @ weights.squeeze.T + weights.squeeze_bias)
        out.copy_(torch.sigmoid(squeezed @ weights.excite.T + weights.excite_bias))

    return Launch(
        f"gate {c_in}",
        gate_kernel,
        (n, 1, 1),
        tile,
        dict(
            partial=partial,
            squeeze=weights.squeeze,
            squeeze_bias=weights.squeeze_bias,
            excite=weights.excite,
            excite_bias=weights.excite_bias,
            gate=out,
            tiles=count,
            share=1 / area,
        ),
        dict(C_IN=c_in, C=out.shape[1], HIDDEN=hidden, ROWS=tile.rows),
        reads=("partial",),
        writes=("gate",),
        reference=reference,
    )
