"""Table, JSON and CSV of rows that are known."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from cgnet_deploy.bench.machine import environment
from cgnet_deploy.bench.machine.conditions import Joules
from cgnet_deploy.bench.report import table as report
from cgnet_deploy.engines.base import Layer
from tests.bench.records import record

COUNTS = [[6, 2, 0], [0, 4, 0], [0, 0, 0]]  # IoU 6/8 and 4/6; the third class occurs nowhere

# The contract that users' scripts depend on: names and nesting of schema 1.
ROW = [
    "engine",
    "backend",
    "provider",
    "precision",
    "sha256",
    "res",
    "batch",
    "boundary",
    "latency_ms",
    "samples",
    "throughput_fps",
    "peak_memory_mib",
    "miou",
    "images",
    "iou",
    "p50_ms_by_round",
    "pixel_accuracy",
    "boundary_f",
    "differing",
    "differing_clearly",
    "variation",
    "settled",
    "file_bytes",
    "cold_start_ms",
    "device_memory_mib",
    "joules_per_frame",
    "clocks",
    "throttled",
    "miou_ms_flip",
    "profile",
    "assumed",
]
NESTED = {
    "latency_ms": {"mean", "min", "p50", "p90", "p95", "p99", "max"},
    "cold_start_ms": {"libraries", "load", "first"},
    "joules_per_frame": {"cpu", "gpu", "board"},
    "clocks": {"before", "during", "after"},
    "profile": {"blocks_ms", "layers"},
}


def test_json_is_schema_1_exactly() -> None:
    where = environment.describe(2, ("cgnet-bench", "--engine", "a.onnx"))
    layers = (Layer("stem.0.conv/Conv", "Conv", 2e6),)
    given = json.loads(json.dumps(report.to_json([record(counts=COUNTS, profile=layers)], where), allow_nan=False))
    assert list(given) == ["schema", "environment", "rows"]
    assert given["schema"] == 1
    (row,) = given["rows"]
    assert sorted(row) == sorted(ROW)
    assert {name: set(row[name]) for name in NESTED} == NESTED
    assert row["cold_start_ms"] == {"libraries": 100, "load": 20, "first": 3}
    assert row["profile"] == {
        "blocks_ms": {"stem": 2},
        "layers": [{"name": "stem.0.conv/Conv", "kind": "Conv", "block": "stem", "ms": 2}],
    }
    assert row["latency_ms"] == {"mean": 2, "min": 1, "p50": 2, "p90": 3, "p95": 3, "p99": None, "max": 3}
    assert (row["res"], row["precision"], row["samples"], row["images"]) == ([1024, 2048], "f16", 3, 5)
    assert row["iou"] == {"road": 0.75, "sky": pytest.approx(2 / 3), "car": None}
    assert row["miou"] == pytest.approx((3 / 4 + 2 / 3) / 2)


def test_nothing_scored_is_null_and_not_zero() -> None:
    where = environment.describe(1, ())
    unscored = report.to_json([record()], where)["rows"][0]
    assert (unscored["miou"], unscored["images"], unscored["iou"]) == (None, 0, {})
    only_void = report.to_json([record(counts=[[0] * 3] * 3)], where)["rows"][0]
    assert only_void["miou"] is None


def test_throughput_counts_gaps_and_batch() -> None:
    assert record(rounds_ms=((10, 10), (10, 10)), batch=4).throughput_fps == pytest.approx(400)
    assert record(rounds_ms=((10, 10), (10, 10)), batch=4, gap_ms=20).throughput_fps == pytest.approx(200)


def test_csv_has_a_column_for_every_field() -> None:
    other = record("b.onnx")
    rows = list(csv.DictReader(io.StringIO(report.to_csv([record(counts=COUNTS), other]))))
    assert rows[0]["engine"] == "a.onnx"
    assert (rows[0]["height_px"], rows[0]["width_px"]) == ("1024", "2048")
    assert (rows[0]["latency_ms.p50"], rows[0]["latency_ms.p99"]) == ("2.0", "")
    assert (rows[0]["iou.road"], rows[0]["iou.car"]) == ("0.75", "")
    assert (rows[1]["miou"], rows[1]["iou.road"]) == ("", "")


def test_the_table_cuts_nothing_off_and_lines_up() -> None:
    long = "a-very-long-name-of-an-engine-that-would-not-fit-into-eighty-columns.onnx"
    lines = report.table([record(long, counts=COUNTS), record("b.onnx", ((2, 4, 6),))]).splitlines()
    header, _, first, second = lines
    assert first.startswith(long)
    for heading, cells in {"p50 ms": ("2.000", "4.000"), "mIoU %": ("70.83", "-")}.items():
        end = header.index(heading) + len(heading)
        for line, cell in zip((first, second), cells, strict=True):
            assert line[:end].endswith(f" {cell}")
    assert first.endswith(" 1")
    assert second.endswith(" 2.000 (1.945 to 2.056)")
    assert "p99" not in header  # a column that no row fills


def test_engines_are_called_by_their_files_names_unless_two_share_one() -> None:
    names = report.short_names([record(name) for name in ("x/a.onnx", "y/a.onnx", "x/b.onnx", "ort:x/b.onnx")])
    assert names == {"x/a.onnx": "x/a.onnx", "y/a.onnx": "y/a.onnx", "x/b.onnx": "b.onnx", "ort:x/b.onnx": "ort:b.onnx"}


def test_the_environment_names_what_ran() -> None:
    where = environment.describe(3, ("cgnet-bench", "--engine", "a.onnx"))
    assert (where.threads, where.command) == (3, ("cgnet-bench", "--engine", "a.onnx"))
    assert where.cores >= 1
    assert where.cpu
    assert "numpy" in where.packages
    assert all(where.packages.values())


def test_a_winner_is_named_only_where_the_difference_exceeds_the_noise() -> None:
    steady = record("x/a.onnx", ((10, 10), (10, 10), (10, 10)))
    slower, alike = record("b.onnx", ((12, 12), (12, 12), (13, 13))), record("c.onnx", ((9, 9), (10, 10), (12, 12)))
    (line,) = report.verdicts([slower, steady])
    assert line.startswith("fastest at e2e: a.onnx, p50 0.833 (0.755 to 0.855) of b.onnx's")
    (line,) = report.verdicts([steady, slower, alike])
    assert line.startswith("no winner at e2e: a.onnx is lowest")
    assert "c.onnx" in line
    assert report.verdicts([steady]) == []


def test_markdown_is_a_github_table() -> None:
    heading, rule, row = report.markdown([record("a|b.onnx", counts=COUNTS)]).splitlines()
    assert heading.startswith("| engine | backend |")
    assert rule.startswith("| :-- | :-- |")
    assert row.startswith("| a\\|b.onnx |")
    assert heading.count(" | ") == rule.count(" | ") == row.count(" | ")


def test_the_time_of_each_block_stands_beside_that_of_the_other_engines() -> None:
    one = record("x/a.onnx", profile=(Layer("stem.0.conv/Conv", "Conv", 2e6), Layer("stage3.10/Add", "Add", 1e5)))
    two = record("b.pth", profile=(Layer("stage3.2/add", "add", 3e6), Layer("stem.0.conv/conv", "conv", 4e6)))
    heading, _, *lines = report.details(
        [one, replace(one, boundary="host"), two, record("unprofiled.onnx")]
    ).splitlines()
    assert heading.split("  ")[-2:] == ["a.onnx 1024x2048, batch 1", "b.pth 1024x2048, batch 1"]
    assert [line.split() for line in lines] == [
        ["start:", "libraries", "100.0", "100.0"],
        ["start:", "load", "20.0", "20.0"],
        ["start:", "first", "3.0", "3.0"],
        ["stem", "2.000", "4.000"],
        ["stage3.2", "-", "3.000"],
        ["stage3.10", "0.100", "-"],
    ]
    assert report.details([record()]) == ""


def test_energy_is_told_a_frame_and_has_a_column_where_it_is_measured() -> None:
    row = record(batch=2, joules=Joules(12.0, None, 6.0))  # three samples of two frames
    assert row.joules_per_frame == {"cpu": 2.0, "gpu": None, "board": 1.0}
    heading = report.table([row]).splitlines()[0]
    assert "CPU J" in heading
    assert "GPU J" not in heading
    assert "CPU J" not in report.table([record()])
