"""Rows in a JSON Lines file come back as they were, and survive a kill in the middle of a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench import journal
from cgnet_deploy.bench.agreement import Agreement
from cgnet_deploy.bench.boundary import Outlines
from cgnet_deploy.bench.environment import describe
from cgnet_deploy.bench.record import Record
from cgnet_deploy.errors import UserError
from tests.bench.records import record

HERE = describe(2, ("cgnet-bench",))
FULL = replace(
    record(counts=[[6, 2, 0], [0, 4, 0], [0, 0, 0]], rounds_ms=((1, 2), (3, 4))),
    outlines=Outlines(np.arange(12).reshape(3, 4)),
    agreement=Agreement(np.array([[100, 3], [50, 0], [5, 0], [1, 0]])),
)


def told(row: Record) -> tuple[object, ...]:
    """A row with its arrays as lists, which compare by value."""
    counts = [part and part.counts.tolist() for part in (row.confusion, row.outlines, row.agreement)]
    return replace(row, confusion=None, outlines=None, agreement=None), counts


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    journal.append(tmp_path / "j", [FULL, record("b.onnx")], "so", HERE)
    assert [told(row) for row in journal.read(tmp_path / "j", "so")] == [told(FULL), told(record("b.onnx"))]


def test_rows_are_appended_and_read_by_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "j"
    assert journal.read(path, "so") == []
    for engine, asked in (("a", "so"), ("b", "otherwise"), ("c", "so")):
        journal.append(path, [record(engine)], asked, HERE)
    assert [row.engine for row in journal.read(path, "so")] == ["a", "c"]


@pytest.mark.parametrize("kept", [1, 50, -1])
def test_a_line_cut_short_is_left_out_and_then_removed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal.append(path, [record("a")], "so", HERE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert [row.engine for row in journal.read(path, "so")] == ["a"]
    journal.append(path, [record("b")], "so", HERE)
    assert [row.engine for row in journal.read(path, "so")] == ["a", "b"]


@pytest.mark.parametrize("line", ["{}", "[1]", "text", '{"schema": 2}', '{"schema": 1, "asked": "so"}', "[" * 100_000])
def test_another_file_is_refused_with_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal.append(path, [record("a")], "so", HERE)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match="line 2, is no row of cgnet-bench"):
        journal.read(path, "so")
