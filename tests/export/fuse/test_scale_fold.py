"""A constant factor per channel into the convolution before it."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.scale_fold import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

CONV = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    y = Mul (c, factor)
}"""
PRELU = CONV.replace("y = Mul (c, factor)", "p = PRelu (c, slope) y = Mul (p, factor)")
CONCAT = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    local = Conv <group = 4, pads = [1, 1, 1, 1]> (x, w4)
    other = Conv (x, w2, b2)
    joint = Concat <axis = 1> (local, other)
    y = Mul (joint, factor)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {
        "w": rng.normal(size=(6, 4, 3, 3)),
        "b": rng.normal(size=6),
        "w4": rng.normal(size=(4, 1, 3, 3)),
        "w2": rng.normal(size=(2, 4, 1, 1)),
        "b2": rng.normal(size=2),
        "slope": np.array([-3, -0.3, 0, 0.25, 1, 2.5])[:, None, None],
        "factor": rng.uniform(0.05, 3, (6, 1, 1)),
    }


@pytest.mark.parametrize("inputs", ["(x, w, b)", "(x, w)"])
@pytest.mark.parametrize("sign", [1, -1])
def test_into_a_convolution_whatever_its_sign(rng: np.random.Generator, inputs: str, sign: int) -> None:
    given = weights(rng)
    assert_fires(
        graph(CONV.replace("(x, w, b)", inputs), given | {"factor": sign * given["factor"]}), RULE, left={"Conv": 1}
    )


def test_through_a_prelu_where_it_is_positive(rng: np.random.Generator) -> None:
    # Once past the PReLU and once into the convolution.
    assert_fires(graph(PRELU, weights(rng)), RULE, times=2, left={"Conv": 1, "PRelu": 1})


def test_through_a_concat_of_convolutions(rng: np.random.Generator) -> None:
    assert_fires(graph(CONCAT, weights(rng)), RULE, left={"Conv": 2, "Concat": 1})


def test_through_a_prelu_and_a_concat(rng: np.random.Generator) -> None:
    text = CONCAT.replace("y = Mul (joint, factor)", "p = PRelu (joint, slope) y = Mul (p, factor)")
    assert_fires(graph(text, weights(rng)), RULE, times=2, left={"Conv": 2, "Concat": 1, "PRelu": 1})


@pytest.mark.parametrize("value", [0.0, -0.5])
def test_not_through_a_prelu_where_a_factor_is_not_positive(rng: np.random.Generator, value: float) -> None:
    given = weights(rng)
    given["factor"][3] = value
    assert_refuses(graph(PRELU, given), RULE, "a factor is not positive")


def test_not_where_the_convolution_has_another_reader(rng: np.random.Generator) -> None:
    text = CONV.replace("y = Mul (c, factor)", "m = Mul (c, factor) y = Max (c, m)")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv has another reader")


def test_not_where_the_prelu_has_another_reader(rng: np.random.Generator) -> None:
    text = PRELU.replace("y = Mul (p, factor)", "m = Mul (p, factor) y = Max (p, m)")
    assert_refuses(graph(text, weights(rng)), RULE, "PRelu has another reader")


def test_not_where_a_part_of_the_concat_is_no_convolution(rng: np.random.Generator) -> None:
    text = CONCAT.replace("Conv <group = 4, pads = [1, 1, 1, 1]> (x, w4)", "Relu (x)")
    assert_refuses(graph(text, weights(rng)), RULE, "Concat is not a concat of convolutions")


def test_not_where_a_part_of_the_concat_has_another_reader(rng: np.random.Generator) -> None:
    text = CONCAT.replace(
        "y = Mul (joint, factor)", "m = Mul (joint, factor) n = Concat <axis = 1> (other, x) y = Max (m, n)"
    )
    assert_refuses(graph(text, weights(rng)), RULE, "Conv_1 has another reader")


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = CONV.replace("{", "{ u = Neg (w)").replace("(x, w, b)", "(x, u, b)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv are computed, not constant")


@pytest.mark.parametrize("factor", [np.array(0.3), np.ones((9, 7)) / 3], ids=["one number", "a map"])
def test_passes_by_factors_that_are_not_per_channel(rng: np.random.Generator, factor: Array) -> None:
    assert_passes_by(graph(CONV, weights(rng) | {"factor": factor}), RULE)


def test_passes_by_a_gate(rng: np.random.Generator) -> None:
    text = CONV.replace("y = Mul (c, factor)", "m = GlobalAveragePool (c) y = Mul (c, m)")
    assert_passes_by(graph(text, weights(rng)), RULE)
