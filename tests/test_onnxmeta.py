"""The metadata of an ONNX file: read and written as onnx does, the graph untouched, hostile bytes refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cgnet_deploy.onnxmeta import MAX_FIELDS, MAX_TEXT_BYTES, read_metadata, with_metadata
from tests.engines.graphs import network

CONTENT = network("frames", (1, 40, 56)).SerializeToString()
ENTRIES = {"cgnet": '{"schema": 1}', "names": "0 sky, 1 straße", "empty": "", "long": "x" * 300}


def entries(content: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}


def test_onnx_reads_what_is_written_and_the_other_way_round() -> None:
    content = with_metadata(CONTENT, ENTRIES)
    assert read_metadata(content) == entries(content) == ENTRIES
    onnx.checker.check_model(content)
    theirs = onnx.load_from_string(CONTENT)
    onnx.helper.set_model_props(theirs, ENTRIES)
    assert read_metadata(theirs.SerializeToString()) == ENTRIES


def test_the_rest_of_the_file_is_not_touched() -> None:
    assert with_metadata(CONTENT, ENTRIES).startswith(CONTENT)
    assert with_metadata(CONTENT, {}) == CONTENT
    assert read_metadata(CONTENT) == {}


def test_an_entry_replaces_that_of_its_name_and_no_other() -> None:
    content = with_metadata(with_metadata(CONTENT, ENTRIES), {"names": "0 road"})
    assert read_metadata(content) == ENTRIES | {"names": "0 road"}
    assert with_metadata(with_metadata(CONTENT, ENTRIES), ENTRIES) == with_metadata(CONTENT, ENTRIES)


HOSTILE = {
    "twice": with_metadata(CONTENT, {"a": ""}) + with_metadata(CONTENT, {"a": ""})[len(CONTENT) :],
    "cut": with_metadata(CONTENT, ENTRIES)[:-5],
    "text": b"not an ONNX file",
    "an endless number": b"\x80" * 1000,
    "a huge length": b"\x72" + b"\xff" * 9 + b"\x01",
    "field 0": b"\x00\x00",
    "no UTF-8": b"\x72\x04\x0a\x02\xff\xfe",
    "a large entry": with_metadata(b"", {"a": "x" * MAX_TEXT_BYTES}),
    "many fields": b"\x08\x09" * (MAX_FIELDS + 1),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"ONNX|metadata|codec"):
        read_metadata(content)


def test_random_bytes_end_in_an_answer_or_a_value_error() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(with_metadata(CONTENT, ENTRIES))
        for at in generator.integers(0, len(content), 4):
            content[at] = generator.integers(256)
        try:
            read_metadata(bytes(content))
        except ValueError:
            continue
