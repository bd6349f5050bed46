"""BatchNormalization over a join: an affine map for each branch, and complete folds for pooled images."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.batchnorm_join import RULE
from cgnet_deploy.export.graph import producer
from cgnet_deploy.export.graph import weights as array_of
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, batchnorm, graph

JOIN = """(float[2, 3, 9, 7] x) => (float[2, 8, 5, 4] y) {
    small = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
    features = PRelu (small, slope)
    image = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1> (x)
    joint = Concat <axis = 1> (features, image)
    y = BatchNormalization <epsilon = 0.001> (joint, gamma, beta, mean, var)
}"""


def weights(rng: np.random.Generator, channels: int = 8) -> dict[str, Array]:
    return {"w": rng.normal(size=(5, 3, 3, 3)), "slope": rng.normal(size=(5, 1, 1)), **batchnorm(rng, channels)}


def test_one_affine_branch_and_one_pooled_image(rng: np.random.Generator) -> None:
    model = graph(JOIN, weights(rng))
    assert_fires(model, RULE, left={"Conv": 2, "PRelu": 1, "Mul": 1, "Add": 1, "Concat": 1})
    joint = producer(model.graph.outputs[0], "Concat")
    assert joint is not None
    pooled = producer(joint.inputs[1], "Conv")
    assert pooled is not None
    kernel = array_of(pooled.inputs[1])
    assert kernel is not None
    assert kernel.shape == (3, 1, 3, 3)  # depthwise: the pool itself is gone


def test_a_pool_that_is_read_raw_too_stays_for_its_other_reader(rng: np.random.Generator) -> None:
    text = JOIN.replace("y = Batch", "n = Batch").replace("}", "more = Concat <axis = 1> (n, image) y = Relu (more) }")
    left = {"Conv": 2, "AveragePool": 1, "PRelu": 1, "Mul": 1, "Add": 1, "Concat": 2, "Relu": 1}
    assert_fires(graph(text.replace("[2, 8, 5, 4]", "[2, 11, 5, 4]"), weights(rng)), RULE, left=left)


def test_a_pool_that_divides_by_fewer_pixels_at_the_border_gets_an_affine_map(rng: np.random.Generator) -> None:
    text = JOIN.replace(", count_include_pad = 1", "")
    left = {"Conv": 1, "AveragePool": 1, "PRelu": 1, "Mul": 2, "Add": 2, "Concat": 1}
    assert_fires(graph(text, weights(rng)), RULE, left=left)


def test_a_pool_that_looks_past_the_border_gets_an_affine_map(rng: np.random.Generator) -> None:
    text = """(float[2, 3, 8, 6] x) => (float[2, 6, 4, 3] y) {
        image = AveragePool <kernel_shape = [3, 3], strides = [2, 2], count_include_pad = 1, ceil_mode = 1> (x)
        joint = Concat <axis = 1> (image, image)
        y = BatchNormalization <epsilon = 0.001> (joint, gamma, beta, mean, var)
    }"""
    left = {"AveragePool": 1, "Mul": 2, "Add": 2, "Concat": 1}
    assert_fires(graph(text, batchnorm(rng, 6)), RULE, left=left)


def test_three_branches_each_get_their_own_slice(rng: np.random.Generator) -> None:
    text = JOIN.replace("(features, image)", "(image, features, small)").replace("[2, 8, 5, 4]", "[2, 13, 5, 4]")
    left = {"Conv": 2, "PRelu": 1, "Mul": 2, "Add": 2, "Concat": 1}
    assert_fires(graph(text, weights(rng, 13)), RULE, left=left)


def test_not_where_the_concat_has_another_reader(rng: np.random.Generator) -> None:
    text = JOIN.replace("y = Batch", "n = Batch").replace("}", "y = Add (n, joint) }")
    assert_refuses(graph(text, weights(rng)), RULE, "Concat has another reader")


def test_not_where_a_branch_has_an_unknown_width(rng: np.random.Generator) -> None:
    text = """(float[2, c, 9, 7] x) => (float[2, 8, 9, 7] y) {
        a = Relu (x)
        joint = Concat <axis = 1> (x, a)
        y = BatchNormalization <epsilon = 0.001> (joint, gamma, beta, mean, var)
    }"""
    reason = "a branch of Concat has an unknown number of channels"
    assert_refuses(graph(text, batchnorm(rng, 8)), RULE, reason)


def test_passes_by_a_normalisation_without_a_join(rng: np.random.Generator) -> None:
    text = """(float[2, 8, 5, 4] x) => (float[2, 8, 5, 4] y) {
        y = BatchNormalization <epsilon = 0.001> (x, gamma, beta, mean, var)
    }"""
    assert_passes_by(graph(text, batchnorm(rng, 8)), RULE)
