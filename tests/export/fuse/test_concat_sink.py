"""Operators over a concat as a concat of operators."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.concat_sink import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph


def over_concat(nodes: str, out: str = "2, 7, 5, 4") -> str:
    """`nodes` make y (`out`) of x (4 channels) and of joint, the concat of x and its three-channel product v."""
    return f"""(float[2, 4, 5, 4] x) => (float[{out}] y) {{
        v = Conv (x, w)
        joint = Concat <axis = 1> (x, v)
        {nodes}
    }}"""


W = {"w": np.random.default_rng(1).normal(size=(3, 4, 1, 1))}
FEW = np.random.default_rng(2).normal(size=(7, 1, 1))


@pytest.mark.parametrize("op", ["Relu", "GlobalAveragePool"])
def test_operators_of_one_input(op: str) -> None:
    out = "2, 7, 1, 1" if op == "GlobalAveragePool" else "2, 7, 5, 4"
    assert_fires(graph(over_concat(f"y = {op} (joint)", out), W), RULE, left={"Conv": 1, op: 2, "Concat": 1})


@pytest.mark.parametrize("op", ["PRelu", "Mul", "Add", "Max", "Min"])
@pytest.mark.parametrize(
    "second",
    [FEW, FEW[None], np.array(0.3), np.array([[[0.3]]]), np.random.default_rng(3).normal(size=(7, 5, 4))],
    ids=["per channel", "per channel, 4-d", "scalar", "one", "map"],
)
def test_operators_with_a_constant(op: str, second: Array) -> None:
    model = graph(over_concat(f"y = {op} (joint, c)"), W | {"c": second})
    assert_fires(model, RULE, left={"Conv": 1, op: 2, "Concat": 1})


def test_the_constant_may_come_first() -> None:
    assert_fires(
        graph(over_concat("y = Mul (c, joint)"), W | {"c": FEW}), RULE, left={"Conv": 1, "Mul": 2, "Concat": 1}
    )


@pytest.mark.parametrize("axes", [[2, 3], [-1, -2]])
def test_a_mean_over_height_and_width(axes: list[int]) -> None:
    text = over_concat("y = ReduceMean (joint, axes)", "2, 7, 1, 1")
    model = graph(text, W | {"axes": np.array(axes)})
    assert_fires(model, RULE, left={"Conv": 1, "ReduceMean": 2, "Concat": 1})


def test_a_mean_that_drops_its_axes() -> None:
    text = over_concat("y = ReduceMean <keepdims = 0> (joint, axes)", "2, 7")
    model = graph(text, W | {"axes": np.array([2, 3])})
    assert_fires(model, RULE, left={"Conv": 1, "ReduceMean": 2, "Concat": 1})


def test_a_gate_is_split_as_the_concat_is() -> None:
    text = "whole = Conv (x, wide) mean = GlobalAveragePool (whole) gate = Sigmoid (mean) y = Mul (joint, gate)"
    model = graph(over_concat(text), W | {"wide": np.random.default_rng(4).normal(size=(7, 4, 1, 1))})
    left = {"Conv": 2, "GlobalAveragePool": 1, "Sigmoid": 1, "Split": 1, "Mul": 2, "Concat": 1}
    assert_fires(model, RULE, left=left)


def test_a_convolution_by_a_gate_is_split_as_the_concat_is() -> None:
    text = """whole = Conv (x, wide) mean = GlobalAveragePool (whole) gate = Sigmoid (mean)
        kernel = Reshape (gate, sides) y = Conv <group = 7> (joint, kernel, bias)"""
    more = {"wide": np.random.default_rng(4).normal(size=(7, 4, 1, 1)), "sides": np.array([7, 1, 1, 1])}
    single = over_concat(text).replace("float[2,", "float[1,")
    model = graph(single, W | more | {"bias": np.random.default_rng(5).normal(size=7)})
    left = {"Conv": 4, "GlobalAveragePool": 1, "Sigmoid": 1, "Reshape": 1, "Split": 1, "Concat": 1}
    assert_fires(model, RULE, left=left)


def test_passes_by_a_convolution_with_constant_weights() -> None:
    text = over_concat("y = Conv <group = 7> (joint, k)")
    assert_passes_by(graph(text, W | {"k": np.random.default_rng(4).normal(size=(7, 1, 1, 1))}), RULE)


def test_two_concats_of_the_same_widths_are_added_part_by_part() -> None:
    text = over_concat("a = Relu (x) b = Relu (v) other = Concat <axis = 1> (a, b) y = Add (joint, other)")
    assert_fires(graph(text, W), RULE, left={"Conv": 1, "Relu": 2, "Add": 2, "Concat": 1})


def test_sinks_through_several_operators() -> None:
    text = over_concat("a = PRelu (joint, c) b = Mul (a, c) y = Add (b, c)")
    left = {"Conv": 1, "PRelu": 2, "Mul": 2, "Add": 2, "Concat": 1}
    assert_fires(graph(text, W | {"c": FEW}), RULE, times=3, left=left)


def test_a_concat_with_another_reader_stays_for_it() -> None:
    text = over_concat("r = Relu (joint) n = Neg (joint) y = Sub (r, n)")
    left = {"Conv": 1, "Relu": 2, "Neg": 1, "Sub": 1, "Concat": 2}
    assert_fires(graph(text, W), RULE, left=left)


def test_not_where_the_other_side_is_one_map() -> None:
    text = over_concat("whole = Conv (x, wide) y = Add (joint, whole)")
    model = graph(text, W | {"wide": np.random.default_rng(4).normal(size=(7, 4, 1, 1))})
    assert_refuses(model, RULE, "whole can't be split as Concat is")


def test_not_where_the_other_concat_has_other_widths() -> None:
    text = over_concat("other = Concat <axis = 1> (v, x) y = Add (joint, other)")
    assert_refuses(graph(text, W), RULE, "other can't be split as Concat is")


def test_not_where_the_mean_takes_channels_too() -> None:
    text = over_concat("y = ReduceMean (joint, axes)", "2, 1, 1, 1")
    reason = "ReduceMean changes more than height and width"
    assert_refuses(graph(text, W | {"axes": np.array([1, 2, 3])}), RULE, reason)


def test_not_where_the_constant_lies_along_another_axis() -> None:
    text = over_concat("y = Mul (joint, c)")
    assert_refuses(graph(text, W | {"c": np.arange(1.0, 5)}), RULE, "c can't be split as Concat is")


def test_not_where_a_part_has_an_unknown_width() -> None:
    text = "(float[2, c, 5, 4] x) => (float[2, d, 5, 4] y) { a = Neg (x) j = Concat <axis = 1> (a, x) y = Relu (j) }"
    assert_refuses(graph(text, {}), RULE, "a part of Concat has an unknown number of channels")


def test_passes_by_a_concat_along_another_axis() -> None:
    text = "(float[2, 4, 5, 4] x) => (float[2, 4, 10, 4] y) { a = Neg (x) j = Concat <axis = 2> (a, x) y = Relu (j) }"
    assert_passes_by(graph(text, {}), RULE)
