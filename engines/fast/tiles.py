"""How much of its output each program of each kernel computes.

Chosen by reasoning for an H100 (132 SMs, 64 Ki registers and 227 KiB of shared memory each) at 1024x2048, from what
`compile.py` shows registers and shared memory; **unmeasured**. `tune` tries `CANDIDATES` where there is a GPU.

- A program's loads hide the latency of another's, so two or more programs should fit an SM; where the sums of a matrix
  product take most of the registers, that decides the pixels.
- Entry of stage 3: 128 pixels, for its weights are 302 KB in f16, which every program reads from L2.
- The joint feature: near a square, since a tile reads a border of 2 or 4 pixels on each side: 8 x 16 reads 3 times its
  own size at dilation 4, from L1. More pixels mean fewer partial sums for `gate` to add.
- f32 is multiplied as three products of TF32, each operand split in two: half of the pixels.
- Labels: 8 rows lie between 3 rows of scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch

from cgnet_deploy.engines.fast.launch import Tile


@dataclass(frozen=True, slots=True)
class Tiles:
    """One tile for each kernel, or one for each stage that it runs in."""

    first: Tile
    conv: Tile
    entry2: Tile
    entry3: Tile
    joint2: Tile
    joint3: Tile
    gate: Tile
    reduce2: Tile
    reduce3: Tile
    mix2: Tile
    mix3: Tile
    join: Tile
    head: Tile
    labels: Tile


F16 = Tiles(
    first=Tile(8, 16, warps=4),
    conv=Tile(8, 16, warps=4),
    entry2=Tile(8, 16, warps=4),
    entry3=Tile(8, 16, warps=8),
    joint2=Tile(8, 16, warps=8),
    joint3=Tile(8, 16, warps=8),
    gate=Tile(64, 1, warps=8),
    reduce2=Tile(1, 64, warps=8),
    reduce3=Tile(1, 64, warps=8),
    mix2=Tile(1, 64, warps=4),
    mix3=Tile(1, 64, warps=4),
    join=Tile(1, 64, warps=4),
    head=Tile(1, 64, warps=4),
    labels=Tile(8, 128, warps=4),
)
F32 = replace(
    F16,
    conv=Tile(8, 8, warps=4),
    entry2=Tile(8, 8, warps=4),
    entry3=Tile(8, 8, warps=8, stages=2),
    head=Tile(1, 32, warps=4),
)


def usual(dtype: torch.dtype) -> Tiles:
    return F16 if dtype == torch.float16 else F32


SQUARES = (Tile(8, 8, warps=4), Tile(8, 16, warps=4), Tile(8, 16, warps=8), Tile(4, 32, warps=4), Tile(16, 16, warps=8))
LINES = (Tile(1, 32, warps=4), Tile(1, 64, warps=4), Tile(1, 64, warps=8), Tile(1, 128, warps=8))
CANDIDATES: dict[str, tuple[Tile, ...]] = {
    **dict.fromkeys(("first", "conv", "entry2", "entry3", "joint2", "joint3"), SQUARES),
    **dict.fromkeys(("reduce2", "reduce3", "mix2", "mix3", "join", "head"), LINES),
    "gate": (Tile(32, 1, warps=4), Tile(64, 1, warps=8), Tile(64, 1, warps=16)),
    "labels": (Tile(8, 64, warps=2), Tile(8, 128, warps=4), Tile(8, 256, warps=8), Tile(16, 128, warps=8)),
}


def tune(time_ns: Callable[[Tiles], int | None], start: Tiles) -> Tiles:
    """The best of `CANDIDATES`, one kernel after the other, each by the time of the network.

    time_ns: what an inference takes with these tiles, None where they don't fit the device.
    """
    best, best_ns = start, time_ns(start)
    for field in fields(Tiles):
        others = [tile for tile in CANDIDATES[field.name] if tile != getattr(best, field.name)]
        for tile in others:
            tried = replace(best, **{field.name: tile})
            took_ns = time_ns(tried)
            if took_ns is not None and (best_ns is None or took_ns < best_ns):
                best, best_ns = tried, took_ns
    return best
