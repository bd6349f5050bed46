"""Frozen dataclasses come back from JSON as they were, and nothing else passes for one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import TypeAliasType

from cgnet_deploy.codec import dumps, from_json, loads, to_json


class Size(NamedTuple):
    height: int
    width: int


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    inner: tuple[Inner, ...]
    maybe: Inner | None
    size: Size
    colour: Colour
    side: Literal["left", "right"]
    share: float
    pair: tuple[int, str]
    path: Path
    counts: npt.NDArray[np.int64]
    named: dict[str, float] = field(default_factory=dict)
    on: bool = False


OUTER = Outer(
    (Inner("a", (1, 2)), Inner("b")),
    None,
    Size(3, 4),
    Colour.RED,
    "left",
    0.5,
    (1, "x"),
    Path("a/b"),
    np.array([[1, 2], [3, 4]]),
    {"x": 1.5},
    True,
)


def test_what_is_written_is_read() -> None:
    back = loads(Outer, dumps(OUTER))
    assert to_json(back) == to_json(OUTER)
    assert back.inner == OUTER.inner
    assert (back.size, back.colour, back.path, back.pair) == (Size(3, 4), Colour.RED, Path("a/b"), (1, "x"))
    assert isinstance(back.size, Size)
    assert back.counts.dtype == np.int64
    assert back.counts.tolist() == [[1, 2], [3, 4]]


def test_an_integer_is_a_number_and_a_default_may_be_absent() -> None:
    data = to_json(OUTER) | {"share": 1}
    del data["named"], data["on"]
    back = from_json(Outer, data)
    assert (back.share, type(back.share), back.named, back.on) == (1.0, float, {}, False)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("inner", [{"name": 1}], "inner: name: 1, wanted str"),
        ("inner", [{"name": "a", "values": [True]}], "inner: values: True, wanted int"),
        ("inner", [{}], "inner: no field 'name' of Inner"),
        ("inner", [{"name": "a", "more": 1}], "inner: unknown field 'more' of Inner"),
        ("inner", {"name": "a"}, "wanted list"),
        ("maybe", [], "maybe: [], wanted dict"),
        ("size", [1], "size: 1 items, wanted 2"),
        ("size", [1.5, 2], "size: 1.5, wanted int"),
        ("colour", "blue", "colour: 'blue', wanted one of red"),
        ("side", 1, "side: 1, wanted one of left, right"),
        ("side", [], "side: [], wanted one of"),
        ("share", "1", "share: '1', wanted a number"),
        ("share", float("nan"), "share: nan, wanted a number"),
        ("share", 10**400, "wanted a number"),
        ("path", None, "path: None, wanted str"),
        ("counts", [[1.5]], "counts: an array of float64, wanted int64"),
        ("counts", [[1], [2, 3]], "counts: "),
        ("counts", [2**70], "counts: an array of object"),
        ("named", {"x": None}, "named: None, wanted a number"),
        ("on", 1, "on: 1, wanted bool"),
    ],
)
def test_anything_else_is_refused_with_its_place(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        from_json(Outer, to_json(OUTER) | {name: value})


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "\ud800", "null", "[]"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"wanted dict|Expecting|nested|surrogates"):
        loads(Inner, text)


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"x": float("nan")})


@pytest.mark.parametrize("kind", [Sequence[int], object, int | str, Any])
def test_an_annotation_without_json_is_an_error_of_the_program(kind: Any) -> None:
    with pytest.raises(TypeError, match="JSON"):
        from_json(kind, 1)


def test_a_type_alias_with_a_parameter_is_read_as_what_it_stands_for() -> None:
    """From NumPy 2.5 on, which needs Python 3.12, NDArray is one."""
    item = TypeVar("item", bound=np.generic)
    parameters: Any = (item,)  # mypy knows the TypeVar of typing_extensions only
    alias: Any = TypeAliasType("alias", np.ndarray[tuple[int, ...], np.dtype[item]], type_params=parameters)
    assert from_json(alias[np.int64], [[1, 2]]).tolist() == [[1, 2]]
