"""A scale and a shift per channel as a depthwise 1x1 convolution."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.affine_conv import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

AFFINE = "(float[2, 6, 9, 7] x) => (float[2, 6, 9, 7] y) { p = Mul (x, scale) y = Add (p, shift) }"


def weights(rng: np.random.Generator) -> dict[str, Array]:
    scale, shift = rng.normal(size=(2, 6, 1, 1))
    return {"scale": scale, "shift": shift}


def test_scale_and_shift(rng: np.random.Generator) -> None:
    assert_fires(graph(AFFINE, weights(rng)), RULE, left={"Conv": 1})


def test_scale_and_shift_of_four_axes(rng: np.random.Generator) -> None:
    assert_fires(graph(AFFINE, {name: array[None] for name, array in weights(rng).items()}), RULE, left={"Conv": 1})


def test_two_in_a_row(rng: np.random.Generator) -> None:
    text = AFFINE.replace("y = Add (p, shift)", "q = Add (p, shift) r = Mul (q, shift) y = Add (r, scale)")
    assert_fires(graph(text, weights(rng)), RULE, times=2, left={"Conv": 2})


def test_not_where_the_shift_is_computed(rng: np.random.Generator) -> None:
    text = AFFINE.replace("(p, shift)", "(p, x)")
    assert_refuses(graph(text, weights(rng)), RULE, "Add is not a constant scale and shift")


def test_not_where_the_scale_is_one_number(rng: np.random.Generator) -> None:
    scalar = {"scale": np.array(0.3)}
    assert_refuses(graph(AFFINE, weights(rng) | scalar), RULE, "Add is not a constant scale and shift")


def test_not_where_the_product_has_another_reader(rng: np.random.Generator) -> None:
    text = AFFINE.replace("y = Add (p, shift)", "q = Add (p, shift) y = Max (p, q)")
    assert_refuses(graph(text, weights(rng)), RULE, "the product before Add has another reader")


def test_passes_by_a_sum_without_a_product(rng: np.random.Generator) -> None:
    assert_passes_by(graph(AFFINE.replace("Mul (x, scale)", "Relu (x)"), weights(rng)), RULE)


def test_passes_by_constants_along_another_axis(rng: np.random.Generator) -> None:
    columns = {"scale": rng.normal(size=7), "shift": rng.normal(size=(9, 7))}
    assert_passes_by(graph(AFFINE, columns), RULE)
