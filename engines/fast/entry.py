"""The entry of a down block: a 3x3 convolution, stride 2, over a concat that is never written.

    out  = PReLU(conv(concat[first, join(second), join(image)]) + bias)
    half = join of the mean of the image's windows, for the next stage's concat

Each part of the concat has its own rows of the weights, so their products add up. A part that is also needed as it is
(the previous down block's output, the pooled image) is joined here, on load, and stays unjoined in memory.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from cgnet_deploy.engines.fast.common import convolved, pooled, positions, prelu, window
from cgnet_deploy.engines.fast.fold import Down, Join
from cgnet_deploy.engines.fast.launch import Launch, Tile, chunk, precision, tiles
from cgnet_deploy.engines.fast.plain import conv3, halved, image_conv, joined
from cgnet_deploy.engines.fast.plain import prelu as plain_prelu


@triton.jit
def entry_kernel(
    first,
    second,
    image,
    first_weight,
    second_weight,
    image_weight,
    bias,
    slope,
    out,
    half,
    second_scale,
    second_bias,
    second_slope,
    image_scale,
    image_bias,
    image_slope,
    half_scale,
    half_bias,
    half_slope,
    height,
    width,
    out_height,
    out_width,
    across,
    C_FIRST: tl.constexpr,
    C_SECOND: tl.constexpr,
    C: tl.constexpr,
    JOIN_IMAGE: tl.constexpr,
    HALVE: tl.constexpr,
    CHUNK: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    n = tl.program_id(1).to(tl.int64)
    rows, cols = positions(tl.program_id(0), across, ROWS, COLS)
    k = tl.arange(0, 32)
    c = tl.arange(0, C)
    area = height * width
    kept = ((rows < out_height) & (cols < out_width))[:, None]
    at = (rows * out_width + cols)[:, None]
    out_area = n * out_height * out_width

    raw, inside = window(image + n * area * 3, rows, cols, height, width)
    values = raw
    if JOIN_IMAGE:
        affine = raw.to(tl.float32) * tl.load(image_scale + k)[None, :] + tl.load(image_bias + k)[None, :]
        joined_image = prelu(affine, tl.load(image_slope + k)[None, :])
        values = tl.where(inside, joined_image, 0.0).to(raw.dtype)
    if HALVE:
        channel = tl.arange(0, 16)
        mean = pooled(raw, PRECISION)
        mean = mean * tl.load(half_scale + channel)[None, :] + tl.load(half_bias + channel)[None, :]
        mean = prelu(mean, tl.load(half_slope + channel)[None, :])
        into = half + out_area * 3 + at * 3 + channel[None, :]
        tl.store(into, mean.to(half.dtype.element_ty), mask=kept & (channel < 3)[None, :])

    sums = tl.dot(values, tl.load(image_weight + k[:, None] * C + c[None, :]), input_precision=PRECISION)
    sums = convolved(
        sums,
        first + n * area * C_FIRST,
        first_weight,
        bias,
        bias,
        bias,
        rows,
        cols,
        height,
        width,
        C_FIRST,
        C,
        2,
        False,
        CHUNK,
        PRECISION,
    )
    if C_SECOND > 0:
        sums = convolved(
            sums,
            second + n * area * C_SECOND,
            second_weight,
            second_scale,
            second_bias,
            second_slope,
            rows,
            cols,
            height,
            width,
            C_SECOND,
            C,
            2,
            True,
            CHUNK,
            PRECISION,
        )
    value = prelu(sums + tl.load(bias + c)[None, :], tl.load(slope + c)[None, :])
    tl.store(out + out_area * C + at * C + c[None, :], value.to(out.dtype.element_ty), mask=kept)


def entry(
    weights: Down,
    first: Tensor,
    second: tuple[Tensor, Join] | None,
    image: Tensor,
    image_join: Join | None,
    out: Tensor,
    half: tuple[Tensor, Join] | None,
    tile: Tile,
) -> Launch:
    """first (N, H, W, C_a), second (N, H, W, C_b), image (N, H, W, 3) -> out (N, H/2, W/2, C), half (N, H/2, W/2, 3).

    first: joined already. second, and image if there is an `image_join`, are not. half: where the smaller image goes
    and its join; without it none is made.
    """
    n, height, width, c_first = first.shape
    _, out_height, out_width, c = out.shape
    count, across = tiles(out_height, out_width, tile)
    unused = weights.first.bias  # a kernel's pointers must point somewhere
    nothing = Join(unused, unused, unused)
    second_map, second_join = second or (unused, nothing)
    half_map, half_join = half or (unused, nothing)
    image_parts = image_join or nothing

    def reference() -> None:
        sums = conv3(first, weights.first.weight, stride=2) + weights.first.bias
        sums += image_conv(joined(image, image_join, 3) if image_join else image, weights.image)
        if second and weights.second is not None:
            sums += conv3(joined(*second), weights.second, stride=2)
        out.copy_(plain_prelu(sums, weights.first.slope))
        if half:
            half_map.copy_(joined(halved(image), half_join, 3))

    return Launch(
        f"entry {c}",
        entry_kernel,
        (count, n, 1),
        tile,
        dict(
            first=first,
            second=second_map,
            image=image,
            first_weight=weights.first.weight,
            second_weight=unused if weights.second is None else weights.second,
            image_weight=weights.image,
            bias=weights.first.bias,
            slope=weights.first.slope,
            out=out,
            half=half_map,
            second_scale=second_join.scale,
            second_bias=second_join.bias,
            second_slope=second_join.slope,
            image_scale=image_parts.scale,
            image_bias=image_parts.bias,
            image_slope=image_parts.slope,
            half_scale=half_join.scale,
            half_bias=half_join.bias,
            half_slope=half_join.slope,
            height=height,
            width=width,
            out_height=out_height,
            out_width=out_width,
            across=across,
        ),
        dict(
            C_FIRST=c_first,
            C_SECOND=second[0].shape[3] if second else 0,
            C=c,
            JOIN_IMAGE=image_join is not None,
            HALVE=half is not None,
            CHUNK=chunk(c_first, out.dtype),
            ROWS=tile.rows,
            COLS=tile.cols,
            PRECISION=precision(out.dtype),
        ),
        reads=("first", "image", *(("second",) if second else ())),
        writes=("out", *(("half",) if half else ())),
        reference=reference,
    )
