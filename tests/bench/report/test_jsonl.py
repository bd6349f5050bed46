"""Rows in a JSON Lines file come back as they were, and survive a kill in the middle of a line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.accuracy.agreement import Agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.machine.conditions import Conditions, Joules
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.machine.nvml import GpuDescription
from cgnet_deploy.bench.report import jsonl
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.errors import UserError
from tests.bench.records import CLOCKS, record

HERE = describe(2, ("cgnet-bench",))
FULL = replace(
    record(counts=[[6, 2, 0], [0, 4, 0], [0, 0, 0]], rounds_ms=((1, 2), (3, 4))),
    outlines=Outlines(np.arange(12).reshape(3, 4)),
    agreement=Agreement(np.array([[100, 3], [50, 0], [5, 0], [1, 0]])),
    device_memory_mib=412.5,
    conditions=Conditions(CLOCKS, CLOCKS, CLOCKS, ("CPU: too hot",), Joules(1.5, None, 2.5)),
    views=Confusion(np.array([[7, 1, 0], [0, 4, 0], [0, 0, 0]])),
    profile=(Layer("stem.0.conv/Conv", "Conv", 1250.5), Layer("other", "", 3.0)),
)


def comparable(row: Record) -> tuple[object, ...]:
    """A row with its arrays as lists, which compare by value."""
    counts = [part and part.counts.tolist() for part in (row.confusion, row.outlines, row.agreement, row.views)]
    return replace(row, confusion=None, outlines=None, agreement=None, views=None), counts


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    jsonl.append(tmp_path / "j", [FULL, record("b.onnx")], "so", HERE)
    assert [comparable(row) for row in jsonl.read(tmp_path / "j", "so")] == [
        comparable(FULL),
        comparable(record("b.onnx")),
    ]


def test_rows_are_appended_and_read_by_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "j"
    assert jsonl.read(path, "so") == []
    for engine, asked in (("a", "so"), ("b", "otherwise"), ("c", "so")):
        jsonl.append(path, [record(engine)], asked, HERE)
    assert [row.engine for row in jsonl.read(path, "so")] == ["a", "c"]


@pytest.mark.parametrize("kept", [1, 50, -1])
def test_a_line_cut_short_is_left_out_and_then_removed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "j"
    jsonl.append(path, [record("a")], "so", HERE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert [row.engine for row in jsonl.read(path, "so")] == ["a"]
    jsonl.append(path, [record("b")], "so", HERE)
    assert [row.engine for row in jsonl.read(path, "so")] == ["a", "b"]


@pytest.mark.parametrize("line", ["{}", "[1]", "text", '{"schema": 1}', '{"schema": 2, "asked": "so"}', "[" * 100_000])
def test_another_file_is_refused_with_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    jsonl.append(path, [record("a")], "so", HERE)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match="line 2, is no row of cgnet-bench"):
        jsonl.read(path, "so")


def test_the_last_command_is_what_comes_back(tmp_path: Path) -> None:
    path, earlier, later = tmp_path / "j", describe(2, ("cgnet-bench", "--old")), describe(2, ("cgnet-bench", "--new"))
    later = replace(later, gpu=GpuDescription("a card", "sm_90", "570.86.15", 700.0, None))
    jsonl.append(path, [record("other")], "so", earlier)
    jsonl.append(path, [record("a", batch=1), record("b", batch=1)], "batch 1", later)
    jsonl.append(path, [record("a", batch=4)], "batch 4 of a file that was then replaced", later)
    jsonl.append(path, [record("a", ((5, 5),), batch=4)], "batch 4", later)
    records, where = jsonl.read_last_run(path)
    assert [(row.engine, row.batch, row.latency_ms.p50) for row in records] == [("a", 1, 2), ("b", 1, 2), ("a", 4, 5)]
    assert where == later


def test_no_run_comes_back_from_an_empty_file_or_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(UserError, match=f"{name} holds no row"):
            jsonl.read_last_run(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rounds", []),
        ("rounds", [{"samples_ns": [], "window_ns": 1}]),
        ("rounds", [{"samples_ns": [-1], "window_ns": 1}]),
        ("confusion", {"counts": [[1, 2], [3, 4]]}),
        ("confusion", {"counts": [[-1, 0, 0], [0, 0, 0], [0, 0, 0]]}),
        ("agreement", {"counts": [[1, 2, 3]]}),
        ("precision", "f64"),
        ("boundary", "somewhere"),
        ("batch", "1"),
        ("unknown", 1),
    ],
)
def test_a_row_that_nothing_can_be_derived_from_is_refused(field: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "j"
    jsonl.append(path, [FULL], "so", HERE)
    line = json.loads(path.read_text())
    line["record"][field] = value
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match="line 1, is no row of cgnet-bench"):
        jsonl.read_last_run(path)
