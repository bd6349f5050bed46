"""A live gate in operators that stay blocked."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.gate_blocked import RULE
from tests.export.fuse.test_gate import CHANNELS, GATED, weights
from tests.export.graphs import assert_fires, assert_passes_by, assert_refuses, example, graph

BLOCKED = {"GlobalAveragePool": 1, "Conv": 2, "Relu": 1, "Sigmoid": 1, "Resize": 1, "Mul": 1}


def test_the_product_is_of_two_maps_of_equal_size(rng: np.random.Generator) -> None:
    model = graph(GATED, weights(rng))
    # Means of up to 30, so that the gate moves over its whole range.
    assert_fires(model, RULE, left=BLOCKED, inputs=[example(model), 30 + example(model)])
    (product,) = (node for node in model.graph if node.op_type == "Mul")
    assert {tuple(value.shape or ()) for value in product.inputs if value} == {(2, CHANNELS, 5, 4)}


def test_the_product_may_be_written_the_other_way_round(rng: np.random.Generator) -> None:
    assert_fires(graph(GATED.replace("(x, gate)", "(gate, x)"), weights(rng)), RULE, left=BLOCKED)


def test_a_pool_of_something_else_than_what_is_scaled(rng: np.random.Generator) -> None:
    text = GATED.replace("mean = ReduceMean <keepdims = 0> (x", "r = Relu (x) mean = ReduceMean <keepdims = 0> (r")
    assert_fires(graph(text, weights(rng)), RULE, left=BLOCKED | {"Relu": 2})


def test_not_where_the_size_is_open(rng: np.random.Generator) -> None:
    text = GATED.replace("float[2, 6, 5, 4]", "float[2, 6, h, 4]")
    reason = "x has an open height or width: the size of the enlarged gate must be a constant"
    assert_refuses(graph(text, weights(rng)), RULE, reason)


def test_passes_by_another_product(rng: np.random.Generator) -> None:
    assert_passes_by(graph(GATED.replace("Sigmoid (excited)", "Tanh (excited)"), weights(rng)), RULE)
