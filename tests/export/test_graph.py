"""The helpers that every rewrite leans on."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.export.graph import (
    attribute,
    channels,
    constant,
    insert,
    producer,
    replace,
    serialise,
    sole_user,
    tidy,
    weights,
)
from tests.export.graphs import Array, assert_same_outputs, check_onnx, example, graph

CONV = "(float[2, 3, 5, 4] x) => (float[2, 6, 5, 4] y) { a = Conv <group = 3> (x, w) b = Relu (a) y = Add (a, b) }"
W = {"w": np.random.default_rng(0).normal(size=(6, 1, 1, 1))}


def conv_of(model: ir.Model) -> ir.Node:
    return next(node for node in model.graph if node.op_type == "Conv")


def test_weights_are_initializers_only() -> None:
    conv = conv_of(graph(CONV, W))
    found = weights(conv.inputs[1])
    assert found is not None
    assert np.array_equal(found, W["w"].astype(np.float32))
    assert weights(conv.inputs[0]) is weights(conv.outputs[0]) is weights(None) is None


def test_producer_and_sole_user() -> None:
    model = graph(CONV, W)
    conv = conv_of(model)
    relu = next(node for node in model.graph if node.op_type == "Relu")
    assert producer(relu.inputs[0], "Conv", "Relu") is conv
    assert producer(relu.inputs[0], "Relu") is producer(conv.inputs[0], "Conv") is producer(None, "Conv") is None
    assert sole_user(conv.outputs[0]) is None  # two read it
    total = sole_user(relu.outputs[0])
    assert total is not None
    assert sole_user(total.outputs[0]) is None  # the graph's user does


def test_attributes_have_defaults() -> None:
    conv = conv_of(graph(CONV, W))
    assert attribute(conv, "group", 1) == 3
    assert attribute(conv, "strides", [1, 1]) == [1, 1]


def test_channels_are_numbers_or_unknown() -> None:
    model = graph("(float[2, c, 5] x) => (float[2, c, 5] y) { y = Relu (x) }", {})
    assert channels(model.graph.inputs[0]) is None
    assert channels(graph(CONV, W).graph.inputs[0]) == 3


@pytest.mark.parametrize("array", [np.zeros(()), np.arange(6.0).reshape(2, 3).T], ids=["scalar", "a transposed view"])
def test_constants_keep_shape_and_content_and_get_free_names(array: Array) -> None:
    conv = conv_of(graph(CONV, W))
    first, second = constant(conv, array, "w"), constant(conv, array, "other")
    assert (first.name, second.name) == ("w_1", "other")
    assert first.shape == array.shape
    assert first.const_value is not None
    assert first.const_value.numpy().shape == array.shape
    assert np.array_equal(first.const_value.numpy(), array)


def test_replacing_the_graph_s_output_keeps_its_name() -> None:
    model = graph(CONV, W)
    tidy(model)
    total = model.graph.outputs[0].producer()
    assert total is not None
    replace(total.outputs[0], insert(total, "Relu", [total.inputs[1]]))
    tidy(model)
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert [node.op_type for node in model.graph] == ["Conv", "Relu", "Relu"]
    check_onnx(model)


def test_tidying_merges_what_is_computed_twice_and_drops_what_nothing_reads() -> None:
    text = """(float[2, 3] x) => (float[2, 3] y) {
        same = Identity (x)
        a = Relu (same)
        b = Relu (x)
        idle = Exp (x)
        c = Constant <value = float[1] {2.0}> ()
        d = Mul (a, c)
        y = Add (d, b)
    }"""
    model = graph(text, {})
    before = serialise(model)
    tidy(model)
    assert sorted(node.name or "" for node in model.graph) == ["Add", "Mul", "Relu"]
    assert_same_outputs(before, serialise(model), [example(model)])
    again = serialise(model)
    tidy(model)
    assert serialise(model) == again
