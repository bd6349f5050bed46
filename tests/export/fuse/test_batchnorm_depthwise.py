"""BatchNormalization over the concat of convolutions."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.batchnorm_depthwise import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, batchnorm, graph

BLOCK = """(float[2, 4, 9, 7] x) => (float[2, 8, 9, 7] y) {
    local = Conv <group = 4, pads = [1, 1, 1, 1]> (x, w1)
    surround = Conv <group = 4, pads = [2, 2, 2, 2], dilations = [2, 2]> (x, w2)
    joint = Concat <axis = 1> (local, surround)
    y = BatchNormalization <epsilon = 0.001> (joint, gamma, beta, mean, var)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    w1, w2 = rng.normal(size=(2, 4, 1, 3, 3))
    return {"w1": w1, "w2": w2, "b2": rng.normal(size=4), **batchnorm(rng, 8)}


def test_splits_by_channels_and_folds_both_halves(rng: np.random.Generator) -> None:
    assert_fires(graph(BLOCK, weights(rng)), RULE, left={"Conv": 2, "Concat": 1})


def test_folds_three_parts_of_different_widths_one_with_a_bias(rng: np.random.Generator) -> None:
    text = """(float[1, 4, 9, 7] x) => (float[1, 11, 9, 7] y) {
        a = Conv <group = 4, pads = [1, 1, 1, 1]> (x, w1)
        b = Conv (x, v)
        c = Conv <group = 4, pads = [2, 2, 2, 2], dilations = [2, 2]> (x, w2, b2)
        joint = Concat <axis = 1> (a, b, c)
        y = BatchNormalization <epsilon = 0.001> (joint, gamma, beta, mean, var)
    }"""
    more = {"v": rng.normal(size=(3, 4, 1, 1)), **batchnorm(rng, 11)}
    assert_fires(graph(text, weights(rng) | more), RULE, left={"Conv": 3, "Concat": 1})


def test_not_where_the_concat_has_another_reader(rng: np.random.Generator) -> None:
    text = BLOCK.replace("y = Batch", "n = Batch").replace("}", "y = Add (n, joint) }")
    assert_refuses(graph(text, weights(rng)), RULE, "Concat has another reader")


def test_not_where_a_part_has_another_reader(rng: np.random.Generator) -> None:
    text = BLOCK.replace("y = Batch", "n = Batch").replace("}", "z = Concat <axis = 1> (surround, x) y = Add (n, z) }")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv_1 has another reader")


def test_not_where_weights_are_computed(rng: np.random.Generator) -> None:
    text = BLOCK.replace("{", "{ v = Neg (w2)").replace("(x, w2)", "(x, v)")
    assert_refuses(graph(text, weights(rng)), RULE, "the weights of Conv_1 are computed, not constant")


def test_passes_by_a_concat_with_anything_else(rng: np.random.Generator) -> None:
    text = BLOCK.replace("Conv <group = 4, pads = [1, 1, 1, 1]> (x, w1)", "Relu (x)")
    assert_passes_by(graph(text, weights(rng)), RULE)
