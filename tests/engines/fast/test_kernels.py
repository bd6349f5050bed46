"""Every kernel of the fast path against its reference in float64: odd sizes, all dilations, every form in use."""

from __future__ import annotations

import pytest
import torch

from cgnet_deploy.engines.fast import conv, entry, first, gate, head, join, joint, mix, reduce
from cgnet_deploy.engines.fast.fold import Classifier, Conv, Down
from cgnet_deploy.engines.fast.launch import Launch, Tile, tiles
from cgnet_deploy.engines.fast.tiles import usual
from tests.engines.fast.held import PRECISIONS, Drawn, hold

SIZES = pytest.mark.parametrize(("height", "width"), [(9, 21), (1, 5)], ids=["9x21", "1x5"])


def halved(*sides: int) -> tuple[int, ...]:
    return tuple(-(-side // 2) for side in sides)


@PRECISIONS
@pytest.mark.parametrize(("height", "width"), [(19, 37), (1, 1), (2, 8)])
def test_first(height: int, width: int, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        weights = Conv(drawn.operand(32, 32), drawn.vector(32), drawn.vector(32))
        out = halved(height, width)
        return first.first(
            drawn.frames(2, height, width, 3),
            drawn.columns(mean=100),
            drawn.columns(mean=60).abs(),
            weights,
            drawn.empty(2, *out, 32),
            drawn.empty(2, *out, 3),
            usual(dtype).first,
        )

    hold(build, dtype)


@PRECISIONS
@SIZES
@pytest.mark.parametrize("joined", [False, True])
def test_conv(height: int, width: int, joined: bool, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        x, weights = drawn.map(2, height, width, 32), drawn.conv(9, 32, 32)
        affine = drawn.join(32) if joined else None
        return conv.conv(x, weights, affine, drawn.empty(2, height, width, 32), usual(dtype).conv)

    hold(build, dtype)


@PRECISIONS
@pytest.mark.parametrize(("height", "width"), [(17, 21), (1, 5)])
@pytest.mark.parametrize("stage", [2, 3])
def test_entry(height: int, width: int, stage: int, dtype: torch.dtype) -> None:
    """Stage 2 joins its image and makes the next one; stage 3 takes a second map, which it joins."""

    def build(drawn: Drawn) -> Launch:
        c_first, c = (32, 64) if stage == 2 else (64, 128)
        weights = Down(
            first=drawn.conv(9, c_first, c),
            second=drawn.operand(9, 64, c) if stage == 3 else None,
            image=drawn.operand(32, c),
            joint=drawn.joint(32),
            gate=drawn.gate_weights(32, 32),
            reduce=drawn.operand(32, 32),
        )
        out = halved(height, width)
        return entry.entry(
            weights,
            drawn.map(2, height, width, c_first),
            (drawn.map(2, height, width, 64), drawn.join(64)) if stage == 3 else None,
            drawn.map(2, height, width, 3),
            drawn.image_join() if stage == 2 else None,
            drawn.empty(2, *out, c),
            (drawn.empty(2, *out, 3), drawn.image_join()) if stage == 2 else None,
            usual(dtype).entry2 if stage == 2 else usual(dtype).entry3,
        )

    hold(build, dtype)


@SIZES
@pytest.mark.parametrize(
    ("dtype", "c", "dilation"),  # all forms in use, and all widths and dilations in either type
    [
        *((torch.float32, 32, 1), (torch.float32, 64, 2), (torch.float32, 128, 4)),
        *((torch.float16, 32, 1), (torch.float16, 32, 2), (torch.float16, 64, 4), (torch.float16, 128, 4)),
    ],
)
def test_joint(height: int, width: int, c: int, dilation: int, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        tile = usual(dtype).joint3
        count, _ = tiles(height, width, tile)
        t, weights = drawn.map(2, height, width, c), drawn.joint(c)
        y, partial = drawn.empty(2, height, width, 2 * c), drawn.sums(2, count, 2 * c)
        return joint.joint(t, weights, dilation, y, partial, tile)

    hold(build, dtype)


@pytest.mark.parametrize(("c_in", "c"), [(64, 64), (128, 64), (256, 128)])
@pytest.mark.parametrize("count", [1, 65, 200])
def test_gate(c_in: int, c: int, count: int) -> None:
    def build(drawn: Drawn) -> Launch:
        partial = drawn.vector(2, count, c_in) * 30  # sums over tiles
        weights = drawn.gate_weights(c_in, c)
        return gate.gate(partial, weights, area=count * 60, out=drawn.sums(2, c), tile=usual(torch.float32).gate)

    hold(build, torch.float32)


@PRECISIONS
@SIZES
@pytest.mark.parametrize(("c", "in_place"), [(64, True), (128, False)])
def test_mix(height: int, width: int, c: int, in_place: bool, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        x, y = drawn.map(2, height, width, c), drawn.map(2, height, width, c)
        out = x if in_place else drawn.empty(2, height, width, c)
        following = drawn.conv(1, c, c // 2)
        return mix.mix(x, y, drawn.gate(2, c), following, out, drawn.empty(2, height, width, c // 2), usual(dtype).mix3)

    hold(build, dtype)


@PRECISIONS
@SIZES
@pytest.mark.parametrize("c", [64, 128])
def test_reduce(height: int, width: int, c: int, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        y, weight = drawn.map(2, height, width, 2 * c), drawn.operand(2 * c, c)
        z, t = drawn.empty(2, height, width, c), drawn.empty(2, height, width, c // 2)
        return reduce.reduce(y, drawn.gate(2, c), weight, drawn.conv(1, c, c // 2), z, t, usual(dtype).reduce3)

    hold(build, dtype)


@PRECISIONS
@SIZES
@pytest.mark.parametrize("in_place", [True, False])
def test_join(height: int, width: int, in_place: bool, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        x, y = drawn.map(2, height, width, 64), drawn.map(2, height, width, 64)
        out = x if in_place else drawn.empty(2, height, width, 64)
        return join.join(x, y, drawn.gate(2, 64), drawn.join(64), out, usual(dtype).join)

    hold(build, dtype)


@PRECISIONS
@SIZES
@pytest.mark.parametrize("classes", [1, 11, 19, 255])
def test_head(height: int, width: int, classes: int, dtype: torch.dtype) -> None:
    def build(drawn: Drawn) -> Launch:
        down, x, y = (drawn.map(2, height, width, 128) for _ in range(3))
        padded = max(16, 1 << (classes - 1).bit_length())
        weights = Classifier(classes, drawn.operand(256, padded), drawn.vector(padded))
        scores = drawn.sums(2, classes, height, width)
        return head.head(
            down, x, y, drawn.gate(2, 128), drawn.join(128), drawn.join(128), weights, scores, usual(dtype).head
        )

    hold(build, dtype)


def test_a_joint_feature_sums_the_same_bits_every_time() -> None:
    def build() -> Launch:
        drawn = Drawn(torch.float16, exact=False)
        t, weights = drawn.map(1, 17, 35, 32), drawn.joint(32)
        return joint.joint(t, weights, 2, drawn.empty(1, 17, 35, 64), drawn.sums(1, 9, 64), Tile(8, 16, warps=4))

    once, again = build(), build()
    once.run()
    again.run()
    partial, other = once.arguments["partial"], again.arguments["partial"]
    assert isinstance(partial, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert torch.equal(partial, other)
