"""Scores at an eighth of the size -> labels: bilinear, corners not aligned, argmax, and no full-size logits.

    position  s(o) = (o + 1/2) size_in / size_out - 1/2, no less than 0 and no more than size_in - 1
    value     sum over j of max(0, 1 - |s - j|) score_j, down and across

A program enlarges one class after the other and keeps the best so far. The few rows of scores that its rows lie
between are first enlarged across, once for all of them.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.launch import Launch, Tile


@triton.jit
def position(index, scale, size):
    """Where an output pixel lies among `size` input pixels."""
    return tl.minimum(tl.maximum((index + 0.5) * scale - 0.5, 0.0), size - 1.0)


@triton.jit
def labels_kernel(
    scores,
    labels,
    score_height,
    score_width,
    height,
    width,
    classes,
    scale_y,
    scale_x,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    SPAN: tl.constexpr,
):
    n = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.program_id(1) * COLS + tl.arange(0, COLS)
    y = position(rows, scale_y, score_height)
    x = position(cols, scale_x, score_width)
    top = position(tl.program_id(0) * ROWS, scale_y, score_height).to(tl.int32)  # the first row of scores needed
    left = x.to(tl.int32)
    right = tl.minimum(left + 1, score_width - 1)
    to_right = x - left.to(tl.float32)
    area = score_height * score_width
    plane = scores + n * classes * area
    best = tl.full([ROWS, COLS], float("-inf"), tl.float32)
    label = tl.zeros([ROWS, COLS], tl.int32)
    for k in range(classes):
        value = tl.zeros([ROWS, COLS], tl.float32)
        for j in tl.static_range(SPAN):
            row = plane + tl.minimum(top + j, score_height - 1) * score_width
            a = tl.load(row + left)
            b = tl.load(row + right)
            across = a + (b - a) * to_right
            down = tl.maximum(1.0 - tl.abs(y - (top + j).to(tl.float32)), 0.0)  # 0 for a row below the last
            value += down[:, None] * across[None, :]
        wins = value > best  # strictly: the first of equals stays, as in argmax
        best = tl.where(wins, value, best)
        label = tl.where(wins, k, label)
        plane += area
    kept = (rows < height)[:, None] & (cols < width)[None, :]
    at = labels + n * height * width + (rows[:, None] * width + cols[None, :])
    tl.store(at, label.to(tl.uint8), mask=kept)


def labels(scores: Tensor, out: Tensor, tile: Tile) -> Launch:
    """scores (N, K, h, w) f32 -> out (N, H, W) u8; K is at most 256."""
    n, classes, score_height, score_width = scores.shape
    _, height, width = out.shape
    scale_y = score_height / height
    # floor(a + s) - floor(a) is at most ceil(s); one more row to reach, and one for the count
    span = math.ceil(scale_y * (tile.rows - 1)) + 2

    def reference() -> None:
        enlarged = F.interpolate(scores, size=(height, width), mode="bilinear", align_corners=False)
        out.copy_(enlarged.argmax(1))

    return Launch(
        "labels",
        labels_kernel,
        (-(-height // tile.rows), -(-width // tile.cols), n),
        tile,
        dict(
            scores=scores,
            labels=out,
            score_height=score_height,
            score_width=score_width,
            height=height,
            width=width,
            classes=classes,
            scale_y=scale_y,
            scale_x=score_width / width,
        ),
        dict(ROWS=tile.rows, COLS=tile.cols, SPAN=span),
        reads=("scores",),
        writes=("labels",),
        reference=reference,
    )
