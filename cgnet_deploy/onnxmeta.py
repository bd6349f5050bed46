"""The texts in an ONNX file's `metadata_props`, by the standard library alone.

Each entry of `metadata_props` is one field 14 of the file, {1: name, 2: text} (see protobuf.py). Fields of a message
may come in any order, so entries are added behind the last byte and the graph is not touched. Whoever reads a file need
not trust it: fields, entries and bytes are bounded, and the graph is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgnet_deploy.protobuf import BYTES, Field, fields

METADATA_PROPS = 14
MAX_FIELDS = 4096  # of a model; an exporter writes about ten
MAX_TEXT_BYTES = 1 << 20


def read_metadata(content: bytes) -> dict[str, str]:
    """The entries of `content`, an ONNX file. Raises ValueError if it is none, or an entry is there twice."""
    entries: dict[str, str] = {}
    for field in filter(_is_entry, fields(memoryview(content), MAX_FIELDS)):
        name, text = _entry(field)
        if name in entries:
            raise ValueError(f"two entries {name[:60]!r} in its metadata")
        entries[name] = text
    return entries


def with_metadata(content: bytes, entries: Mapping[str, str]) -> bytes:
    """`content`, an ONNX file, with `entries`, which replace those of the same name. Raises as `read_metadata`."""
    kept = [
        field.raw
        for field in fields(memoryview(content), MAX_FIELDS)
        if not _is_entry(field) or _entry(field)[0] not in entries
    ]
    added = (_bytes_field(1, name.encode()) + _bytes_field(2, text.encode()) for name, text in entries.items())
    return b"".join([*kept, *(_bytes_field(METADATA_PROPS, entry) for entry in added)])


def _is_entry(field: Field) -> bool:
    return (field.number, field.wire) == (METADATA_PROPS, BYTES)


def _entry(field: Field) -> tuple[str, str]:
    if len(field.value) > MAX_TEXT_BYTES:
        raise ValueError(f"an entry of more than {MAX_TEXT_BYTES} bytes in its metadata")
    parts = {part.number: bytes(part.value) for part in fields(field.value, MAX_FIELDS)}
    return parts.get(1, b"").decode(), parts.get(2, b"").decode()


def _bytes_field(number: int, value: bytes) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def _as_varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
