"""The texts in an ONNX file's `metadata_props`, by the standard library alone.

An ONNX file is a protobuf message, ModelProto: a sequence of fields, each a key and a value,

    key = number << 3 | wire type      0 varint, 1 eight bytes, 2 length and so many bytes, 5 four bytes

and each entry of `metadata_props` is one field 14, {1: name, 2: text}. Fields of a message may come in any order, so
entries are added behind the last byte and the graph is not touched. Whoever reads a file need not trust it: fields,
entries and bytes are bounded, and the graph is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

METADATA_PROPS = 14
MAX_FIELDS = 4096  # of a model; an exporter writes about ten
MAX_TEXT_BYTES = 1 << 20
VARINT_BYTES = 10


class Field(NamedTuple):
    """One field of a message: where it starts, and where its value does and ends."""

    number: int
    wire: int
    start: int
    value: int
    end: int


def read_metadata(content: bytes) -> dict[str, str]:
    """The entries of `content`, an ONNX file. Raises ValueError if it is none, or an entry is there twice."""
    view = memoryview(content)
    entries: dict[str, str] = {}
    for field in _fields(view, 0, len(view)):
        if (field.number, field.wire) != (METADATA_PROPS, 2):
            continue
        name, text = _entry(view, field)
        if name in entries:
            raise ValueError(f"two entries {name[:60]!r} in its metadata")
        entries[name] = text
    return entries


def with_metadata(content: bytes, entries: Mapping[str, str]) -> bytes:
    """`content`, an ONNX file, with `entries`, which replace those of the same name. Raises as `read_metadata`."""
    view = memoryview(content)
    kept = [
        view[field.start : field.end]
        for field in _fields(view, 0, len(view))
        if (field.number, field.wire) != (METADATA_PROPS, 2) or _entry(view, field)[0] not in entries
    ]
    added = (_bytes_field(1, name.encode()) + _bytes_field(2, text.encode()) for name, text in entries.items())
    return b"".join([*kept, *(_bytes_field(METADATA_PROPS, entry) for entry in added)])


def _entry(view: memoryview, field: Field) -> tuple[str, str]:
    if field.end - field.value > MAX_TEXT_BYTES:
        raise ValueError(f"an entry of more than {MAX_TEXT_BYTES} bytes in its metadata")
    parts = {part.number: bytes(view[part.value : part.end]) for part in _fields(view, field.value, field.end)}
    return parts.get(1, b"").decode(), parts.get(2, b"").decode()


def _fields(view: memoryview, start: int, end: int) -> Iterator[Field]:
    for _ in range(MAX_FIELDS):
        if start == end:
            return
        key, value = _varint(view, start, end)
        match key & 7:
            case 0:
                stop = _varint(view, value, end)[1]
            case 1:
                stop = value + 8
            case 2:
                length, value = _varint(view, value, end)
                stop = value + length
            case 5:
                stop = value + 4
            case _:
                raise ValueError("not an ONNX file")
        if key >> 3 == 0 or stop > end:
            raise ValueError("not an ONNX file, or cut short")
        yield Field(key >> 3, key & 7, start, value, stop)
        start = stop
    raise ValueError(f"more than {MAX_FIELDS} fields: not an ONNX file of a network")


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    number = 0
    for i in range(VARINT_BYTES):
        if at + i >= end:
            break
        number |= (view[at + i] & 127) << 7 * i
        if view[at + i] < 128:
            return number, at + i + 1
    raise ValueError("not an ONNX file, or cut short")


def _bytes_field(number: int, value: bytes) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def _as_varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
