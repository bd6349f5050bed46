"""PReLU as convolutions, Relu and Add."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.prelu_blocked import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

SINGLE = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    y = PRelu (a, slope)
}"""
SUM = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    c = Conv (x, v)
    d = Conv <pads = [2, 2, 2, 2], dilations = [2, 2]> (x, w)
    ac = Add (a, c)
    acd = Add (ac, d)
    y = PRelu (acd, slope)
}"""
REASON_NO_SUM = "its input is not a sum of convolutions"


def weights(rng: np.random.Generator) -> dict[str, Array]:
    slope = np.array([-3, -0.3, 0, 0.25, 0.9, 0.98])[:, None, None]
    return {
        "w": rng.normal(size=(6, 4, 3, 3)), "v": rng.normal(size=(6, 4, 1, 1)), "b": rng.normal(size=6), "slope": slope
    }  # fmt: skip


def test_after_one_convolution(rng: np.random.Generator) -> None:
    assert_fires(graph(SINGLE, weights(rng)), RULE, left={"Conv": 2, "Relu": 1, "Add": 1})


def test_after_a_sum_of_convolutions(rng: np.random.Generator) -> None:
    assert_fires(graph(SUM, weights(rng)), RULE, left={"Conv": 4, "Relu": 1, "Add": 3})


def test_twice_in_a_row(rng: np.random.Generator) -> None:
    text = SINGLE.replace("y =", "p =").replace("}", "q = Conv (p, u) y = PRelu (q, slope) }")
    more = {"u": rng.normal(size=(6, 6, 1, 1))}
    assert_fires(graph(text, weights(rng) | more), RULE, times=2, left={"Conv": 4, "Relu": 2, "Add": 2})


def test_not_where_a_slope_is_too_near_1_or_above(rng: np.random.Generator) -> None:
    slope = np.array([-3, -0.3, 0, 0.25, 0.995, 2])[:, None, None]
    assert_refuses(graph(SINGLE, weights(rng) | {"slope": slope}), RULE, "2 of 6 slopes are above 0.99")


def test_not_after_anything_but_convolutions(rng: np.random.Generator) -> None:
    text = SINGLE.replace("(a, slope)", "(r, slope)").replace("y =", "r = Relu (a) y =")
    assert_refuses(graph(text, weights(rng)), RULE, REASON_NO_SUM)


def test_not_after_a_sum_with_anything_else(rng: np.random.Generator) -> None:
    assert_refuses(graph(SUM.replace("Conv (x, v)", "Relu (a)"), weights(rng)), RULE, REASON_NO_SUM)


def test_not_where_a_convolution_has_another_reader(rng: np.random.Generator) -> None:
    text = SUM.replace("y =", "p =").replace("}", "y = Add (p, d) }")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv_2 has another reader")


def test_not_where_a_sum_has_another_reader(rng: np.random.Generator) -> None:
    text = SUM.replace("y =", "p =").replace("}", "y = Add (p, ac) }")
    assert_refuses(graph(text, weights(rng)), RULE, REASON_NO_SUM)


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = SINGLE.replace("{", "{ u = Neg (w)").replace("(x, w, b)", "(x, u, b)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv are computed, not constant")


def test_passes_by_slopes_that_are_computed(rng: np.random.Generator) -> None:
    text = SINGLE.replace("{", "{ s = Neg (slope)").replace("(a, slope)", "(a, s)")
    assert_passes_by(graph(text, weights(rng)), RULE)
