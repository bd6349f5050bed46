"""The least that a CGNet's activations cost in memory traffic, by how much is fused: arithmetic, not a measurement.

Each fused operation reads each of its inputs and writes its output once; weights and linear layers are left out, a
concat is free, borders that are read twice are taken to come from a cache. In maps of C channels:

    plain       convolution, BatchNorm and PReLU are one; loc, sur, the mean and gate (+ residual) are apart
    producers   loc, sur and the mean are one, and joins are made by what feeds them
    next        gate and residual are one with the next block's 1x1; a down block's gate is in its 1x1
    twice       normal blocks compute their depthwise convolutions again after the mean, instead of storing them
"""

from __future__ import annotations

from typing import Literal

from cgnet_deploy.spec import Res

Fusion = Literal["plain", "producers", "next", "twice"]

# of a block of C channels at its own size, behind its entry: multiples of C values a pixel
DOWN = {
    "plain": 2 + 2 + 3 + 1 + 2,  # loc, sur, reduce, mean, gate
    "producers": 3 + 3 + 1 + 2,  # loc and sur, reduce, mean, gate
    "next": 3 + 3 + 1,  # loc and sur, reduce and gate, mean
    "twice": 3 + 3 + 1,
}
NORMAL = {
    "plain": 1.5 + 1 + 1 + 1 + 3,  # entry, loc, sur, mean, gate and residual
    "producers": 1.5 + 1.5 + 3,  # entry, loc and sur and mean, gate and residual
    "next": 1.5 + 3.5,  # loc and sur and mean, gate and residual and the next entry
    "twice": 0.5 + 3.0,  # mean alone; then x, t -> x, t
}


def activations(fusion: Fusion, res: Res, classes: int, blocks: tuple[int, int] = (3, 21)) -> int:
    """Values read and written for one image of `res`, full-size logits included."""
    m, n = blocks
    pixels = [res.height * res.width]
    height, width = res
    for _ in range(3):
        height, width = -(-height // 2), -(-width // 2)
        pixels.append(height * width)
    full, half, quarter, eighth = pixels
    stem = (3 * full + 32 * half) + 2 * (32 + 32) * half
    images = (3 * full + 3 * half) + (3 * half + 3 * quarter)
    joins = 2 * (35 * half + 131 * quarter + 256 * eighth) if fusion == "plain" else 3 * half  # the joined pooled image
    stage2 = 35 * half + 64 * quarter + (DOWN[fusion] + (m - 1) * NORMAL[fusion]) * 64 * quarter
    stage3 = 131 * quarter + 128 * eighth + (DOWN[fusion] + (n - 1) * NORMAL[fusion]) * 128 * eighth
    head = (256 * eighth + classes * eighth) + (classes * eighth + classes * full)
    return round(stem + images + joins + stage2 + stage3 + head)


def floor_bytes(
    fusion: Fusion, res: Res, classes: int, value_bytes: int, *, batch: int = 1, blocks: tuple[int, int] = (3, 21)
) -> int:
    """Bytes from frames to u8 labels, full-size logits never written. value_bytes: 2 for f16, 4 for f32."""
    logits = classes * res.height * res.width
    values = activations(fusion, res, classes, blocks) - logits
    return batch * (values * value_bytes + res.height * res.width)
