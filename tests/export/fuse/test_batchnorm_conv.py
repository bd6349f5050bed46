"""BatchNormalization into the convolution before it."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.batchnorm_conv import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, batchnorm, graph

CHAIN = """(float[2, 4, 9, 7] x) => (float[2, 6, 9, 7] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, w)
    y = BatchNormalization <epsilon = 0.001> (c, gamma, beta, mean, var)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {"w": rng.normal(size=(6, 4, 3, 3)), "b": rng.normal(size=6), **batchnorm(rng, 6)}


def test_folds_into_a_convolution_without_bias(rng: np.random.Generator) -> None:
    assert_fires(graph(CHAIN, weights(rng)), RULE, left={"Conv": 1})


def test_folds_into_a_convolution_with_bias(rng: np.random.Generator) -> None:
    assert_fires(graph(CHAIN.replace("(x, w)", "(x, w, b)"), weights(rng)), RULE, left={"Conv": 1})


@pytest.mark.parametrize("attributes", ["dilations = [2, 2]", "strides = [2, 2]", "pads = [0, 1, 2, 3]"])
def test_the_convolution_keeps_its_geometry(rng: np.random.Generator, attributes: str) -> None:
    text = CHAIN.replace("pads = [1, 1, 1, 1]", attributes).replace("6, 9, 7", "6, h, w")
    assert_fires(graph(text, weights(rng)), RULE, left={"Conv": 1})


def test_the_convolution_keeps_its_groups(rng: np.random.Generator) -> None:
    text = CHAIN.replace("<pads", "<group = 2, pads")
    assert_fires(graph(text, weights(rng) | {"w": rng.normal(size=(6, 2, 3, 3))}), RULE, left={"Conv": 1})


def test_folds_a_chain_of_two(rng: np.random.Generator) -> None:
    text = """(float[1, 4, 9, 7] x) => (float[1, 6, 9, 7] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)
        n = BatchNormalization <epsilon = 0.001> (c, gamma, beta, mean, var)
        p = PRelu (n, slope)
        d = Conv (p, v)
        y = BatchNormalization <epsilon = 0.001> (d, gamma, beta, mean, var)
    }"""
    more = {"slope": rng.normal(size=(6, 1, 1)), "v": rng.normal(size=(6, 6, 1, 1))}
    assert_fires(graph(text, weights(rng) | more), RULE, times=2, left={"Conv": 2, "PRelu": 1})


def test_not_where_the_convolution_has_another_reader(rng: np.random.Generator) -> None:
    text = CHAIN.replace("y = Batch", "n = Batch").replace("}", "y = Add (n, c) }")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv has another reader")


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = CHAIN.replace("{", "{ v = Neg (w)").replace("(x, w)", "(x, v)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv are computed, not constant")


def test_not_where_the_bias_is_computed(rng: np.random.Generator) -> None:
    text = CHAIN.replace("{", "{ v = Neg (b)").replace("(x, w)", "(x, w, v)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv are computed, not constant")


def test_passes_by_what_follows_no_convolution(rng: np.random.Generator) -> None:
    text = CHAIN.replace("Conv <pads = [1, 1, 1, 1]> (x, w)", "PRelu (x, slope)").replace("4, 9, 7", "6, 9, 7")
    assert_passes_by(graph(text, weights(rng) | {"slope": rng.normal(size=(6, 1, 1))}), RULE)
