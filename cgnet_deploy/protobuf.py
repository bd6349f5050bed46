"""The fields of a protobuf message, by the standard library alone: bounded, and nothing is copied.

A message is a sequence of fields, each a key and a value,

    key = number << 3 | wire type      0 varint, 1 eight bytes, 2 length and so many bytes, 5 four bytes

The two wire types of groups, which no current writer uses, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_FIELDS = 1 << 17  # of a message; a graph of a thousand nodes has a few thousand
BYTES, VARINT = 2, 0
VARINT_BYTES = 10


class Field(NamedTuple):
    """number, wire: of its key. value: the number of a varint, else the bytes."""

    number: int
    wire: int
    value: memoryview | int


def fields(message: memoryview) -> Iterator[Field]:
    """Raises ValueError for what is no message, or one of more than MAX_FIELDS."""
    at, end = 0, len(message)
    for _ in range(MAX_FIELDS):
        if at == end:
            return
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if number and wire == VARINT:
            value, at = _varint(message, at)
            yield Field(number, wire, value)
            continue
        length, at = _varint(message, at) if wire == BYTES else ({1: 8, 5: 4}.get(wire, end), at)
        if number == 0 or at + length > end:
            raise ValueError("not a protobuf message, or cut short")
        yield Field(number, wire, message[at : at + length])
        at += length
    raise ValueError(f"a protobuf message of more than {MAX_FIELDS} fields")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    number = 0
    for i, byte in enumerate(message[at : at + VARINT_BYTES]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise ValueError("not a protobuf message, or cut short")
