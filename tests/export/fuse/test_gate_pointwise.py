"""A live gate as two pointwise convolutions over the pooled map."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.gate_pointwise import RULE
from tests.export.fuse.test_gate import GATED, weights
from tests.export.graphs import assert_fires, assert_passes_by, assert_refuses, example, graph

POINTWISE = {"GlobalAveragePool": 1, "Conv": 2, "Relu": 1, "Sigmoid": 1, "Mul": 1}


@pytest.mark.parametrize("product", ["(x, gate)", "(gate, x)"])
def test_the_gate_is_computed_by_convolutions(rng: np.random.Generator, product: str) -> None:
    model = graph(GATED.replace("(x, gate)", product), weights(rng))
    # Means of up to 30, so that the gate moves over its whole range.
    assert_fires(model, RULE, left=POINTWISE, inputs=[example(model), 30 + example(model)])


def test_batch_and_size_may_be_open(rng: np.random.Generator) -> None:
    model = graph(GATED.replace("float[2,", "float[n,").replace("5, 4]", "h, w]"), weights(rng))
    inputs = [example(model, open_sides={"n": 3, "h": 7, "w": 2})]
    assert_fires(model, RULE, left=POINTWISE, inputs=inputs)


def test_not_where_a_part_of_the_gate_is_taken(rng: np.random.Generator) -> None:
    text = GATED.replace(
        "float[2, 6, 5, 4] x) => (float[2, 6, 5, 4] y)", "float[2, 6, 5, 4] x) => (float[2, 2, 5, 4] y)"
    )
    text = text.replace(
        "y = Mul (x, gate)",
        "few = Slice (x, from, to, channel) part = Slice (gate, from, to, channel) y = Mul (few, part)",
    )
    slices = {"from": np.array([1]), "to": np.array([3]), "channel": np.array([1])}
    assert_refuses(graph(text, weights(rng) | slices), RULE, "Mul takes a part of the gate")


def test_not_where_the_mean_is_over_something_else(rng: np.random.Generator) -> None:
    model = graph(GATED.replace("6, 5, 4]", "6, 5, 6]"), weights(rng) | {"axes": np.array([1, 2])})
    assert_refuses(model, RULE, "ReduceMean is not a mean over height and width alone")


def test_passes_by_another_product(rng: np.random.Generator) -> None:
    assert_passes_by(graph(GATED.replace("Sigmoid (excited)", "Tanh (excited)"), weights(rng)), RULE)
