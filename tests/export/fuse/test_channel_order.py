"""A change of channel order, or a factor per channel, into the convolutions that read it."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.channel_order import FACTOR, ORDER
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

SWAPPED = """(float[2, 3, 9, 8] x) => (float[2, 4, 5, 4] y) {
    rgb = Gather <axis = 1> (x, order)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (rgb, w, b)
}"""
TWO_READERS = SWAPPED.replace("y = Conv", "c = Conv").replace(
    "}", "p = Conv <group = 3, strides = [2, 2], pads = [1, 1, 1, 1]> (rgb, d) y = Concat <axis = 1> (c, p) }"
)


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {
        "order": np.array([2, 0, 1]),
        "factor": rng.normal(size=(3, 1, 1)),
        "w": rng.normal(size=(4, 3, 3, 3)),
        "b": rng.normal(size=4),
        "d": rng.normal(size=(3, 1, 3, 3)),
    }


@pytest.mark.parametrize("inputs", ["(rgb, w, b)", "(rgb, w)"])
def test_an_order_into_a_dense_convolution(rng: np.random.Generator, inputs: str) -> None:
    assert_fires(graph(SWAPPED.replace("(rgb, w, b)", inputs), weights(rng)), ORDER, left={"Conv": 1})


def test_an_order_into_every_reader_the_depthwise_one_too(rng: np.random.Generator) -> None:
    text = TWO_READERS.replace("2, 4, 5, 4", "2, 7, 5, 4")
    assert_fires(graph(text, weights(rng)), ORDER, left={"Conv": 2, "Concat": 1})


def test_a_factor_of_any_sign(rng: np.random.Generator) -> None:
    text = SWAPPED.replace("Gather <axis = 1> (x, order)", "Mul (x, factor)")
    assert_fires(graph(text, weights(rng)), FACTOR, left={"Conv": 1})


def test_a_factor_then_an_order_as_frames_have_them(rng: np.random.Generator) -> None:
    text = TWO_READERS.replace("{", "{ m = Mul (x, factor)").replace("(x, order)", "(m, order)")
    text = text.replace("2, 4, 5, 4", "2, 7, 5, 4")
    model = graph(text, weights(rng))
    assert_fires(model, ORDER, left={"Mul": 1, "Conv": 2, "Concat": 1})
    assert_fires(model, FACTOR, left={"Conv": 2, "Concat": 1})  # after the order it feeds convolutions alone


def test_an_order_that_repeats_a_channel(rng: np.random.Generator) -> None:
    more = {"order": np.array([1, 1, 0])}
    assert_fires(graph(SWAPPED, weights(rng) | more), ORDER, left={"Conv": 1})


def test_not_where_a_reader_is_no_convolution(rng: np.random.Generator) -> None:
    text = TWO_READERS.replace("2, 4, 5, 4", "2, 7, 5, 4").replace(
        "Conv <group = 3, strides = [2, 2], pads = [1, 1, 1, 1]> (rgb, d)",
        "AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (rgb)",
    )
    assert_refuses(graph(text, weights(rng)), ORDER, "Gather feeds something that is not a convolution")


def test_not_where_weights_are_computed(rng: np.random.Generator) -> None:
    text = SWAPPED.replace("{", "{ u = Neg (w)").replace("(rgb, w, b)", "(rgb, u, b)")
    reason = "Conv is not a dense or depthwise convolution with constant weights"
    assert_refuses(graph(text, weights(rng)), ORDER, reason)


def test_not_where_a_reader_is_grouped(rng: np.random.Generator) -> None:
    text = "(float[1, 4, 9, 7] x) => (float[1, 4, 9, 7] y) { m = Mul (x, f) y = Conv <group = 2> (m, w) }"
    reason = "Conv is not a dense or depthwise convolution with constant weights"
    model = graph(text, {"f": rng.normal(size=(4, 1, 1)), "w": rng.normal(size=(4, 2, 1, 1))})
    assert_refuses(model, FACTOR, reason)


@pytest.mark.parametrize(
    "instead", ["Gather <axis = 2> (x, rows)", "Mul (x, map)", "Mul (x, one)", "Gather <axis = 1> (x, computed)"]
)
def test_passes_by_anything_else(rng: np.random.Generator, instead: str) -> None:
    text = SWAPPED.replace("Gather <axis = 1> (x, order)", instead).replace("{", "{ computed = Neg (minus)")
    more = {
        "rows": np.arange(9)[::-1],
        "map": rng.normal(size=(9, 8)),
        "one": np.array(0.3),
        "minus": np.array([0, -2, -1]),
    }
    model = graph(text, weights(rng) | more)
    assert_passes_by(model, ORDER)
    assert_passes_by(model, FACTOR)


def test_a_reader_of_the_shape_alone_reads_that_of_the_source(rng: np.random.Generator) -> None:
    text = SWAPPED.replace("y = Conv", "c = Conv").replace(
        "}",
        "whole = Shape (rgb) parts = Cast <to = 1> (whole) size = ReduceMax <keepdims = 0> (parts) y = Mul (c, size) }",
    )
    left = {"Conv": 1, "Shape": 1, "Cast": 1, "ReduceMax": 1, "Mul": 1}
    assert_fires(graph(text, weights(rng)), ORDER, left=left)
