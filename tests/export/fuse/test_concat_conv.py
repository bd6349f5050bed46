"""A convolution over a concat as a sum of convolutions."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.concat_conv import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

JOIN = """(float[2, 4, 9, 7] x) => (float[2, 6, 5, 4] y) {
    a = Relu (x)
    b = Conv (x, v)
    joint = Concat <axis = 1> (a, b)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (joint, w, bias)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {"v": rng.normal(size=(3, 4, 1, 1)), "w": rng.normal(size=(6, 7, 3, 3)), "bias": rng.normal(size=6)}


def test_two_parts_and_one_bias(rng: np.random.Generator) -> None:
    assert_fires(graph(JOIN, weights(rng)), RULE, left={"Relu": 1, "Conv": 3, "Add": 1})


def test_two_parts_without_a_bias(rng: np.random.Generator) -> None:
    text = JOIN.replace("(joint, w, bias)", "(joint, w)")
    assert_fires(graph(text, weights(rng)), RULE, left={"Relu": 1, "Conv": 3, "Add": 1})


def test_three_parts_one_of_them_twice(rng: np.random.Generator) -> None:
    text = JOIN.replace("(a, b)", "(a, b, a)")
    more = {"w": rng.normal(size=(6, 11, 3, 3))}
    assert_fires(graph(text, weights(rng) | more), RULE, left={"Relu": 1, "Conv": 4, "Add": 2})


def test_a_concat_with_another_reader_stays_for_it(rng: np.random.Generator) -> None:
    text = JOIN.replace("y = Conv", "c = Conv").replace(
        "}", "p = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (joint) y = Concat <axis = 1> (c, p) }"
    )
    left = {"Relu": 1, "Conv": 3, "Add": 1, "Concat": 2, "MaxPool": 1}
    assert_fires(graph(text.replace("[2, 6, 5, 4]", "[2, 13, 5, 4]"), weights(rng)), RULE, left=left)


def test_not_where_the_convolution_is_grouped(rng: np.random.Generator) -> None:
    text = JOIN.replace("<strides", "<group = 7, strides").replace("[2, 6, 5, 4]", "[2, 7, 5, 4]")
    more = {"w": rng.normal(size=(7, 1, 3, 3)), "bias": rng.normal(size=7)}
    reason = "Conv_1 is not a dense convolution with constant weights"
    assert_refuses(graph(text, weights(rng) | more), RULE, reason)


def test_not_where_the_weights_are_computed(rng: np.random.Generator) -> None:
    text = JOIN.replace("{", "{ u = Neg (w)").replace("(joint, w, bias)", "(joint, u, bias)")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv_1 is not a dense convolution with constant weights")


def test_not_where_a_part_has_an_unknown_width(rng: np.random.Generator) -> None:
    text = """(float[2, c, 9, 7] x) => (float[2, 6, 9, 7] y) {
        a = Relu (x)
        joint = Concat <axis = 1> (a, x)
        y = Conv (joint, w)
    }"""
    reason = "a part of Concat has an unknown number of channels"
    assert_refuses(graph(text, {"w": rng.normal(size=(6, 8, 1, 1))}), RULE, reason)


def test_passes_by_a_concat_along_another_axis(rng: np.random.Generator) -> None:
    text = """(float[2, 4, 9, 7] x) => (float[2, 6, 18, 7] y) {
        a = Relu (x)
        tall = Concat <axis = 2> (a, x)
        y = Conv (tall, w)
    }"""
    assert_passes_by(graph(text, {"w": rng.normal(size=(6, 4, 1, 1))}), RULE)
