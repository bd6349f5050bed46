"""The fields of an ONNX file's messages, by the standard library alone: bounded, and nothing is copied.

An ONNX file is a protobuf message, ModelProto, of other messages. Each is a sequence of fields, a key and a value,

    key = number << 3 | wire type      0 varint, 1 eight bytes, 2 length and so many bytes, 5 four bytes

The two wire types of groups, which ONNX doesn't use, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_FIELDS = 1 << 17  # of a message; a graph of a thousand nodes has a few thousand
VARINT, BYTES = 0, 2
FIXED_BYTES = {1: 8, 5: 4}
VARINT_BYTES = 10
MAX_KEY = (1 << 32) - 1
CUT = "not an ONNX file, or cut short"


class Field(NamedTuple):
    """number, wire: of its key. value: the bytes behind the key and the length. raw: all of the field."""

    number: int
    wire: int
    value: memoryview
    raw: memoryview


def fields(message: memoryview, most: int = MAX_FIELDS) -> Iterator[Field]:
    """Raises ValueError for what is no message, or one of more fields than `most`."""
    start, end = 0, len(message)
    for _ in range(most):
        if start == end:
            return
        key, at = varint(message, start)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            stop = varint(message, at)[1]
        elif wire == BYTES:
            length, at = varint(message, at)
            stop = at + length
        else:
            stop = at + FIXED_BYTES.get(wire, end)
        if number == 0 or key > MAX_KEY or stop > end:
            raise ValueError(CUT)
        yield Field(number, wire, message[at:stop], message[start:stop])
        start = stop
    raise ValueError(f"a message of more than {most} fields: not an ONNX file of a network")


def varint(message: memoryview, at: int = 0) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    number = 0
    for i, byte in enumerate(message[at : at + VARINT_BYTES]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise ValueError(CUT)
