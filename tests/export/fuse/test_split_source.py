"""A convolution that is added to a concat, split by output channel."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.split_source import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

TRUNK = """(float[2, 4, 9, 7] x) => (float[2, 5, 9, 7] y) {
    trunk = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    y1 = Conv (x, w1)
    y2 = Conv (x, w2)
    block = Concat <axis = 1> (y1, y2)
    y = Add (trunk, block)
}"""
GATED = TRUNK.replace("trunk =", "raw =").replace(
    "y1 =", "mean = GlobalAveragePool (raw) gate = Sigmoid (mean) trunk = Mul (raw, gate) y1 ="
)


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {
        "w": rng.normal(size=(5, 4, 3, 3)),
        "b": rng.normal(size=5),
        "w1": rng.normal(size=(2, 4, 1, 1)),
        "w2": rng.normal(size=(3, 4, 1, 1)),
    }


@pytest.mark.parametrize("total", ["(trunk, block)", "(block, trunk)"])
@pytest.mark.parametrize("inputs", ["(x, w, b)", "(x, w)"])
def test_splits_at_the_concat_s_seam(rng: np.random.Generator, total: str, inputs: str) -> None:
    text = TRUNK.replace("(trunk, block)", total).replace("(x, w, b)", inputs)
    assert_fires(graph(text, weights(rng)), RULE, left={"Conv": 4, "Concat": 2, "Add": 1})


def test_sees_through_a_gate(rng: np.random.Generator) -> None:
    left = {"Conv": 4, "Concat": 2, "GlobalAveragePool": 1, "Sigmoid": 1, "Mul": 1, "Add": 1}
    assert_fires(graph(GATED, weights(rng)), RULE, left=left)


def test_sees_through_a_gate_that_is_a_kernel(rng: np.random.Generator) -> None:
    text = GATED.replace("trunk = Mul (raw, gate)", "k = Reshape (gate, sides) trunk = Conv <group = 5> (raw, k)")
    left = {"Conv": 5, "Concat": 2, "GlobalAveragePool": 1, "Sigmoid": 1, "Reshape": 1, "Add": 1}
    model = graph(text.replace("float[2,", "float[1,"), weights(rng) | {"sides": np.array([5, 1, 1, 1])})
    assert_fires(model, RULE, left=left)


def test_other_readers_of_the_convolution_read_the_concat(rng: np.random.Generator) -> None:
    text = TRUNK.replace("y = Add", "s = Add").replace("}", "y = Mul (s, trunk) }")
    assert_fires(graph(text, weights(rng)), RULE, left={"Conv": 4, "Concat": 2, "Add": 1, "Mul": 1})


def test_not_where_the_convolution_is_grouped(rng: np.random.Generator) -> None:
    text = TRUNK.replace("<pads", "<group = 2, pads").replace("2, 5, 9, 7", "2, 6, 9, 7")
    more = {"w": rng.normal(size=(6, 2, 3, 3)), "b": rng.normal(size=6), "w1": rng.normal(size=(3, 4, 1, 1))}
    reason = "Conv is not a dense convolution with constant weights"
    assert_refuses(graph(text, weights(rng) | more), RULE, reason)


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = TRUNK.replace("{", "{ u = Neg (w)").replace("(x, w, b)", "(x, u, b)")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv is not a dense convolution with constant weights")


def test_not_where_the_convolution_has_one_channel_for_all(rng: np.random.Generator) -> None:
    more = {"w": rng.normal(size=(1, 4, 3, 3)), "b": rng.normal(size=1)}
    assert_refuses(graph(TRUNK, weights(rng) | more), RULE, "Conv has other channels than what is added to it")


def test_passes_by_a_sum_of_two_concats(rng: np.random.Generator) -> None:
    text = TRUNK.replace("(trunk, block)", "(block, block)")
    assert_passes_by(graph(text, weights(rng)), RULE)
