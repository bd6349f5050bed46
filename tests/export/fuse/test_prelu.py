"""PReLU in its forms: Max, a x + (1 - a) Relu, and depthwise convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cgnet_deploy.export.fuse import prelu
from cgnet_deploy.export.fuse.rule import Rule
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

ACTIVATION = "(float[2, 6, 9, 7] x) => (float[2, 6, 9, 7] y) { y = PRelu (x, slope) }"
GENTLE = np.array([-3, -0.3, 0, 0.25, 0.99, 1])  # no slope above 1
STEEP = np.array([-3, -0.3, 0, 0.25, 1, 2.5])

FORMS: dict[str, tuple[Rule[Any], dict[str, int]]] = {
    "max": (prelu.MAX, {"Mul": 1, "Max": 1}),
    "affine": (prelu.AFFINE, {"Mul": 2, "Relu": 1, "Add": 1}),
    "blocked": (prelu.BLOCKED, {"Conv": 2, "Relu": 1, "Add": 1}),
}
UP_TO_1 = ("max", "blocked")
ANY_SLOPES = [form for form in FORMS if form not in UP_TO_1]


def channelwise(slopes: Array) -> dict[str, Array]:
    return {"slope": slopes[:, None, None]}


@pytest.mark.parametrize("form", FORMS)
def test_slopes_of_both_signs_up_to_1(form: str) -> None:
    rule, left = FORMS[form]
    assert_fires(graph(ACTIVATION, channelwise(GENTLE)), rule, left=left)


@pytest.mark.parametrize("form", ANY_SLOPES)
def test_slopes_above_1(form: str) -> None:
    rule, left = FORMS[form]
    assert_fires(graph(ACTIVATION, channelwise(STEEP)), rule, left=left)


@pytest.mark.parametrize("form", UP_TO_1)
def test_not_where_a_slope_is_above_1(form: str) -> None:
    rule, _ = FORMS[form]
    assert_refuses(graph(ACTIVATION, channelwise(STEEP)), rule, "1 of 6 slopes are above 1")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slope", [np.array([0.3]), np.array([[[0.3]]])], ids=["vector", "map"])
def test_one_slope_for_all_channels(form: str, slope: Array) -> None:
    rule, left = FORMS[form]
    assert_fires(graph(ACTIVATION, {"slope": slope}), rule, left=left)


@pytest.mark.parametrize("form", FORMS)
def test_two_in_a_row(form: str) -> None:
    rule, left = FORMS[form]
    text = ACTIVATION.replace("y = PRelu (x, slope)", "z = PRelu (x, slope) y = PRelu (z, slope)")
    twice = {op: 2 * count for op, count in left.items()}
    assert_fires(graph(text, channelwise(GENTLE)), rule, times=2, left=twice)


@pytest.mark.parametrize("form", FORMS)
def test_passes_by_slopes_that_are_computed(form: str) -> None:
    text = ACTIVATION.replace("{", "{ slope = Neg (steep)")
    assert_passes_by(graph(text, {"steep": GENTLE[:, None, None]}), FORMS[form][0])


@pytest.mark.parametrize("form", FORMS)
def test_passes_by_slopes_that_differ_along_a_row(form: str) -> None:
    text = ACTIVATION.replace("9, 7", "9, 6")  # six columns, as many as channels: only the position tells
    assert_passes_by(graph(text, {"slope": GENTLE[None, None, :]}), FORMS[form][0])
