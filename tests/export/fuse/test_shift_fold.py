"""A constant shift per channel into the bias of the convolution before it."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.shift_fold import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

SHIFTED = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    y = Add (c, shift)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {"w": rng.normal(size=(6, 4, 3, 3)), "b": rng.normal(size=6), "shift": rng.normal(size=(6, 1, 1))}


@pytest.mark.parametrize("inputs", ["(x, w, b)", "(x, w)"])
def test_into_the_bias(rng: np.random.Generator, inputs: str) -> None:
    assert_fires(graph(SHIFTED.replace("(x, w, b)", inputs), weights(rng)), RULE, left={"Conv": 1})


def test_two_in_a_row(rng: np.random.Generator) -> None:
    text = SHIFTED.replace("y = Add (c, shift)", "s = Add (c, shift) y = Add (s, shift)")
    assert_fires(graph(text, weights(rng)), RULE, times=2, left={"Conv": 1})


def test_not_where_the_convolution_has_another_reader(rng: np.random.Generator) -> None:
    text = SHIFTED.replace("y = Add (c, shift)", "s = Add (c, shift) y = Max (c, s)")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv has another reader")


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = SHIFTED.replace("{", "{ u = Neg (w)").replace("(x, w, b)", "(x, u, b)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv are computed, not constant")


@pytest.mark.parametrize("shift", [np.array(0.3), np.ones((9, 7)) / 3], ids=["one number", "a map"])
def test_passes_by_shifts_that_are_not_per_channel(rng: np.random.Generator, shift: Array) -> None:
    assert_passes_by(graph(SHIFTED, weights(rng) | {"shift": shift}), RULE)


def test_passes_by_a_residual_sum(rng: np.random.Generator) -> None:
    text = SHIFTED.replace("y = Add (c, shift)", "r = Relu (c) y = Add (c, r)")
    assert_passes_by(graph(text, weights(rng)), RULE)
