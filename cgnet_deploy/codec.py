"""Frozen dataclasses as JSON and back, checked against their own annotations.

    str, int, float, bool, None    themselves; a float may be written as an integer, and is never NaN or infinite
    Literal, Enum, Path            the value; an enum's value; a string
    tuple, NamedTuple, NDArray     a list
    dict[str, X], dataclass        an object; fields with a default may be absent, unknown ones are refused

The annotations bound how deeply a value can be nested; whoever reads a file bounds its bytes.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
Decode = Callable[[Any], Any]


def dumps(value: object) -> str:
    """JSON on one line. Raises ValueError for NaN and infinities."""
    return json.dumps(to_json(value), allow_nan=False)


def loads(kind: type[T], text: str | bytes) -> T:
    """A `kind` from what `dumps` gave. Raises ValueError for anything else, saying what was wanted where."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return from_json(kind, data)


def to_json(value: Any) -> Any:
    """What `json` writes: objects, lists, strings, numbers, None."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    match value:
        case Enum():
            return value.value
        case np.ndarray():
            return value.tolist()
        case Path():
            return str(value)
        case tuple() | list():
            return [to_json(item) for item in value]
        case dict():
            return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(kind: type[T], data: object) -> T:
    """A `kind` from what `to_json` gave. Raises ValueError for anything else, saying what was wanted where."""
    value: T = _decoder(kind)(data)  # type: ignore[arg-type]  # mypy takes no type for hashable
    return value


@cache
def _decoder(kind: Any) -> Decode:
    """How a value annotated with `kind` is read. Raises TypeError for an annotation that has no JSON."""
    origin, args = get_origin(kind), get_args(kind)
    if (aliased := getattr(origin, "__value__", None)) is not None:  # `type X[T] = ...`, as NumPy 2.5's NDArray is
        return _decoder(aliased[args])
    if origin is Literal:
        return lambda data: _member(data, args)
    if origin in (Union, types.UnionType):
        return _optional(*args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _sequence(_decoder(args[0]))
    if origin is tuple:
        return _fixed(tuple, tuple(map(_decoder, args)))
    if origin is dict:
        return _mapping(_decoder(args[1]))
    if origin is np.ndarray:
        return _array(np.dtype(get_args(args[1])[0]))
    if is_dataclass(kind):
        return _dataclass(kind)
    if isinstance(kind, type):
        if issubclass(kind, Enum):
            return lambda data: kind(_member(data, tuple(member.value for member in kind)))
        if issubclass(kind, tuple):  # a NamedTuple
            return _fixed(lambda items: kind(*items), tuple(map(_decoder, get_type_hints(kind).values())))
        if issubclass(kind, Path):
            return lambda data: kind(_exactly(str, data))
        if kind is float:
            return _float
        if kind in (str, int, bool, type(None)):
            return lambda data: _exactly(kind, data)
    raise TypeError(f"{kind} has no form in JSON")


def _exactly(kind: type, data: Any) -> Any:
    if type(data) is not kind:  # True is no int
        raise ValueError(f"{_short(data)}, wanted {kind.__name__}")
    return data


def _float(data: Any) -> float:
    if type(data) in (int, float) and abs(data) <= sys.float_info.max:  # NaN compares false
        return float(data)
    raise ValueError(f"{_short(data)}, wanted a number")


def _member(data: Any, allowed: tuple[Any, ...]) -> Any:
    if not any(type(data) is type(one) and data == one for one in allowed):
        raise ValueError(f"{_short(data)}, wanted one of {', '.join(map(str, allowed))}")
    return data


def _optional(*kinds: Any) -> Decode:
    """X | None; of two or more X nobody could say which was written."""
    some = [kind for kind in kinds if kind is not type(None)]
    if len(some) != 1:
        raise TypeError(f"{kinds} can't be told apart in JSON")
    decode = _decoder(some[0])
    return lambda data: None if data is None else decode(data)


def _sequence(decode: Decode) -> Decode:
    return lambda data: tuple(map(decode, _exactly(list, data)))


def _fixed(make: Callable[[Any], Any], decoders: tuple[Decode, ...]) -> Decode:
    def read(data: Any) -> Any:
        if len(_exactly(list, data)) != len(decoders):
            raise ValueError(f"{len(data)} items, wanted {len(decoders)}")
        return make([decode(item) for decode, item in zip(decoders, data, strict=True)])

    return read


def _mapping(decode: Decode) -> Decode:
    return lambda data: {key: decode(item) for key, item in _exactly(dict, data).items()}


def _array(dtype: np.dtype[Any]) -> Decode:
    def read(data: Any) -> Any:
        array = np.asarray(_exactly(list, data))
        if array.size and array.dtype.kind != dtype.kind:
            raise ValueError(f"an array of {array.dtype}, wanted {dtype}")
        return array.astype(dtype)

    return read


def _dataclass(kind: Any) -> Decode:
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is field.default_factory is MISSING}

    def read(data: Any) -> Any:
        names = _exactly(dict, data).keys()
        if unknown := sorted(names - decoders.keys()):
            raise ValueError(f"unknown field {unknown[0]!r} of {kind.__name__}")
        if missing := sorted(needed - names):
            raise ValueError(f"no field {missing[0]!r} of {kind.__name__}")
        values = {}
        for name, item in data.items():
            try:
                values[name] = decoders[name](item)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return kind(**values)

    return read


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 60 else f"{text[:57]}..."
