"""A CGNet for one shape of frames: its buffers, allocated once, and the launches that fill them, in order.

    frames u8 --first--> a 32, image/2                     1/2 of the size
              --conv, conv--> a 32, joined
              --entry--> t 64, image/4 joined              1/4
              --joint, gate, reduce--> d 64 (kept), t 32
              --(joint, gate, mix) x (M-2)--> x 64, t 32
              --joint, gate, join--> x 64, joined
              --entry (x, d joined on load)--> t 128       1/8
              --joint, gate, reduce--> d 128 (kept), t 64
              --(joint, gate, mix) x (N-2)--> x 128, t 64
              --joint, gate, head--> scores K, f32
              --labels--> u8                               1

Maps lie as (N, H, W, C). 3M + 3N + 6 launches: 78 for M3N21.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cgnet_deploy.engines.fast import conv, entry, first, gate, head, join, joint, labels, mix, reduce
from cgnet_deploy.engines.fast.fold import Block, Down, Folded
from cgnet_deploy.engines.fast.launch import Launch, Tile, tiles
from cgnet_deploy.engines.fast.tiles import Tiles, usual

DILATIONS = (2, 4)  # of stage 2 and stage 3


@dataclass(frozen=True, slots=True)
class Stage:
    """The buffers of one stage, (N, H, W, C) maps that its blocks use in turn, and its tiles."""

    down: Tensor  # what the down block gives
    x: Tensor  # what the block before gave, then what this one gives
    t_down: Tensor
    t: Tensor
    y_down: Tensor  # shares its memory with y: the down block is done with it before the others start
    y: Tensor
    partial_down: Tensor  # shares its memory with `partial`
    partial: Tensor
    gate: Tensor
    dilation: int
    joint_tile: Tile
    gate_tile: Tile

    def context(self, block: Down | Block) -> list[Launch]:
        """Joint feature and gate of a block whose entry is done."""
        down = isinstance(block, Down)
        t, y, partial = (self.t_down, self.y_down, self.partial_down) if down else (self.t, self.y, self.partial)
        return [
            joint.joint(t, block.joint, self.dilation, y, partial, self.joint_tile),
            gate.gate(partial, block.gate, t.shape[1] * t.shape[2], self.gate, self.gate_tile),
        ]


class FastNetwork:
    """frames (N, H, W, 3) u8, scores (N, K, H/8, W/8) f32 and labels (N, H, W) u8 are buffers: fill, run, read.

    weights: as `fold.stored` gives them, in `dtype` and on `device`. Raises torch.cuda.OutOfMemoryError.
    """

    def __init__(
        self,
        weights: Folded,
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        device: torch.device,
        chosen: Tiles | None = None,
    ) -> None:
        n, height, width = shape
        chosen = chosen or usual(dtype)
        sums = torch.float64 if dtype == torch.float64 else torch.float32

        def empty(*sides: int, kind: torch.dtype = dtype) -> Tensor:
            return torch.empty(sides, dtype=kind, device=device)

        def stage(c: int, h: int, w: int, dilation: int, joint_tile: Tile) -> Stage:
            count, _ = tiles(h, w, joint_tile)
            y_down, partial_down = empty(n, h, w, 2 * c), empty(n, count, 2 * c, kind=sums)
            return Stage(
                down=empty(n, h, w, c),
                x=empty(n, h, w, c),
                t_down=empty(n, h, w, c),
                t=empty(n, h, w, c // 2),
                y_down=y_down,
                y=y_down.flatten()[: n * h * w * c].view(n, h, w, c),
                partial_down=partial_down,
                partial=partial_down.flatten()[: n * count * c].view(n, count, c),
                gate=empty(n, c, kind=sums),
                dilation=dilation,
                joint_tile=joint_tile,
                gate_tile=chosen.gate,
            )

        h2, w2 = halved(height), halved(width)
        h4, w4 = halved(h2), halved(w2)
        h8, w8 = halved(h4), halved(w4)
        self.frames = empty(n, height, width, 3, kind=torch.uint8)
        self.scores = empty(n, weights.classifier.classes, h8, w8, kind=sums)
        self.labels = empty(n, height, width, kind=torch.uint8)
        a, b, image2, image4 = empty(n, h2, w2, 32), empty(n, h2, w2, 32), empty(n, h2, w2, 3), empty(n, h4, w4, 3)
        two = stage(64, h4, w4, DILATIONS[0], chosen.joint2)
        three = stage(128, h8, w8, DILATIONS[1], chosen.joint3)

        before, last2 = run_of(two, weights.down2, weights.blocks2, chosen.reduce2, chosen.mix2)
        after, last3 = run_of(three, weights.down3, weights.blocks3, chosen.reduce3, chosen.mix3)
        self.launches: tuple[Launch, ...] = (
            first.first(self.frames, weights.mean, weights.deviation, weights.stem[0], a, image2, chosen.first),
            conv.conv(a, weights.stem[1], None, b, chosen.conv),
            conv.conv(b, weights.stem[2], weights.join1, a, chosen.conv),
            entry.entry(
                weights.down2,
                a,
                None,
                image2,
                weights.join1_image,
                two.t_down,
                (image4, weights.join2_image),
                chosen.entry2,
            ),
            *before,
            join.join(last2, two.y, two.gate, weights.join2_last, two.x, chosen.join),
            entry.entry(
                weights.down3, two.x, (two.down, weights.join2_down), image4, None, three.t_down, None, chosen.entry3
            ),
            *after,
            head.head(
                three.down,
                last3,
                three.y,
                three.gate,
                weights.join3_down,
                weights.join3_last,
                weights.classifier,
                self.scores,
                chosen.head,
            ),
            labels.labels(self.scores, self.labels, chosen.labels),
        )

    def run(self) -> None:
        """Fill `scores` and `labels` from `frames`, on torch's current stream."""
        for launch in self.launches:
            launch.run()


def run_of(
    stage: Stage, down: Down, blocks: tuple[Block, ...], reduce_tile: Tile, mix_tile: Tile
) -> tuple[list[Launch], Tensor]:
    """A stage from its entry to its last gate, and the map that the last block's feature is yet to be added to."""
    launches = stage.context(down)
    launches.append(
        reduce.reduce(stage.y_down, stage.gate, down.reduce, blocks[0].entry, stage.down, stage.t, reduce_tile)
    )
    x = stage.down
    for block, following in pairwise(blocks):
        launches += stage.context(block)
        launches.append(mix.mix(x, stage.y, stage.gate, following.entry, stage.x, stage.t, mix_tile))
        x = stage.x
    return [*launches, *stage.context(blocks[-1])], x


def halved(side: int) -> int:
    return -(-side // 2)
