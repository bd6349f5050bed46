"""Specs refuse what makes no sense, wherever it comes from, and survive the way through a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgnet_deploy.contracts import CONTRACTS, class_table, contract_name, known_as, model_spec
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import MAX_PIXELS, MAX_SIDE_PX, MIN_SIDE_PX, InputSpec, ModelSpec, Res

SPEC = model_spec("cityscapes-official", 19, (3, 21))


def test_a_size_is_height_first() -> None:
    assert Res.parse("1024x2048") == Res(height=1024, width=2048)
    assert Res.parse("1024x2048").spelled() == "H=1024 W=2048"


@pytest.mark.parametrize("text", ["1024", "axb", "1024x", "x2048", "1024x2048x3", "-360x480", "1e3x1e3", ""])
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not HEIGHTxWIDTH in pixels"):
        Res.parse(text)


@pytest.mark.parametrize("text", ["0x0", "1x1", "31x480", "360x31", "8193x32", "100000x100000", "8192x8192"])
def test_a_size_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="out of range"):
        Res.parse(text)


@given(st.integers(MIN_SIDE_PX, MAX_SIDE_PX), st.integers(MIN_SIDE_PX, MAX_SIDE_PX))
def test_a_size_is_read_as_it_is_written(height: int, width: int) -> None:
    if height * width <= MAX_PIXELS:
        assert Res.parse(str(Res(height, width))) == Res(height, width)


@pytest.mark.parametrize(
    ("mean", "std", "color", "message"),
    [
        ((1.0, 2.0, float("nan")), (1.0, 1.0, 1.0), "rgb", "three finite numbers"),
        ((1.0, 2.0, 3.0), (1.0, 0.0, 1.0), "rgb", "three positive numbers"),
        ((1.0, 2.0, 3.0), (1.0, 1.0, float("inf")), "rgb", "three positive numbers"),
        ((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), "grb", "neither 'rgb' nor 'bgr'"),
    ],
)
def test_an_input_that_no_network_takes_is_refused(mean: Any, std: Any, color: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        InputSpec(mean, std, color, Res(360, 480))


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ()},
        {"class_names": tuple(map(str, range(256)))},
        {"palette": SPEC.palette[1:]},
        {"palette": ((0, 0, 256), *SPEC.palette[1:])},
        {"ignore_label": 256},
        {"blocks": (1, 21)},
        {"blocks": (3, 129)},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(change: Any) -> None:
    with pytest.raises(UsageError):
        replace(SPEC, **change)


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("classes", [1, 2, 11, 19, 255])
def test_a_spec_survives_json(contract: str, classes: int) -> None:
    spec = model_spec(contract, classes, (2, 5))
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


# What a hostile or damaged file may say in place of a part of a spec.
SPOILT: dict[str, Callable[[Any], object]] = {
    "no spec": lambda spec: [],
    "no input": lambda spec: {key: value for key, value in spec.items() if key != "input"},
    "two means": lambda spec: {**spec, "input": {**spec["input"], "mean": [1, 2]}},
    "a text for a mean": lambda spec: {**spec, "input": {**spec["input"], "mean": ["a", "b", "c"]}},
    "a fractional size": lambda spec: {**spec, "input": {**spec["input"], "res": [360.5, 480]}},
    "a truth value for a size": lambda spec: {**spec, "input": {**spec["input"], "res": [True, 480]}},
    "a colour order": lambda spec: {**spec, "input": {**spec["input"], "color": None}},
    "an escape in a class name": lambda spec: {**spec, "class_names": ["\x1b[2J", *spec["class_names"][1:]]},
    "an endless class name": lambda spec: {**spec, "class_names": ["a" * 65, *spec["class_names"][1:]]},
    "a palette of texts": lambda spec: {**spec, "palette": ["red"] * 19},
    "three block counts": lambda spec: {**spec, "blocks": [3, 21, 1]},
    "an ignore label of a text": lambda spec: {**spec, "ignore_label": "255"},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_description_is_refused(spoil: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError):
        ModelSpec.from_json(spoil(json.loads(json.dumps(SPEC.to_json()))))


@pytest.mark.parametrize(
    ("fmt", "classes", "name"),
    [
        ("official", 11, "camvid-official"),
        ("official", 19, "cityscapes-official"),
        ("mmseg", 19, "cityscapes-mmseg"),
        ("mmseg", 11, "camvid-official"),
    ],
)
def test_format_and_class_count_decide_the_contract(fmt: str, classes: int, name: str) -> None:
    assert contract_name(fmt, classes) == name
    assert known_as(CONTRACTS[name]) == name


def test_no_contract_is_guessed_for_another_class_count() -> None:
    with pytest.raises(UsageError, match="no input contract is known for 12 classes in the official format"):
        contract_name("official", 12)


def test_the_user_overrides_the_contract() -> None:
    given_input = model_spec("camvid-official", 11, (3, 21), mean=(1.0, 2.0, 3.0), color="bgr").input
    assert given_input == InputSpec((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), "bgr", Res(360, 480))
    assert known_as(given_input) == "custom"
    with pytest.raises(UsageError, match="unknown contract 'camvid'"):
        model_spec("camvid", 11, (3, 21))


@pytest.mark.parametrize("classes", [2, 40, 255])
def test_numbered_classes_have_distinct_colours(classes: int) -> None:
    table = class_table(classes)
    assert len(table.names) == len(set(table.palette)) == classes
