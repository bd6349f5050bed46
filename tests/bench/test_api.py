"""benchmark() as a Python program calls it; what it measures is in test_cli.py, since cgnet-bench is its flags."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.bench.api import benchmark
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res
from tests.bench.conftest import WriteEngine

QUICK: dict[str, Any] = {"warmup_ms": 0, "duration_s": 0, "iterations": 10, "threads": 1}


def test_one_engine_is_named_by_a_path_and_one_size_by_text(write_engine: WriteEngine) -> None:
    engine = write_engine("a.onnx", 3)
    (record,) = benchmark(engine, res="32x48", batch=2, boundaries="host", **QUICK)
    assert (record.engine, record.res, record.batch, record.boundary) == (str(engine), Res(32, 48), 2, "host")
    assert len(record.samples_ns) == 10
    assert record.miou is None


def test_records_come_by_size_then_batch_then_boundary_then_engine(write_engine: WriteEngine, tmp_path: Path) -> None:
    engines: list[str | Path] = [write_engine("a.onnx", 3), str(write_engine("b.onnx", 0))]
    sizes = [Res(32, 48), "64x32"]
    options = {"res": sizes, "batch": [1, 2], "boundaries": ["e2e", "host"], "jsonl": tmp_path / "rows.jsonl", **QUICK}
    records = benchmark(engines, **options)
    assert [(record.res, record.batch, record.boundary, record.engine) for record in records] == [
        (res, batch, boundary, str(engine))
        for res in (Res(32, 48), Res(64, 32))
        for batch in (1, 2)
        for boundary in ("e2e", "host")
        for engine in engines
    ]
    again = benchmark(engines, **options)
    assert [record.samples_ns for record in again] == [record.samples_ns for record in records]


@pytest.mark.parametrize(
    ("engines", "options", "words"),
    [
        ([], {}, "no engine to measure"),
        ("a.onnx", {"boundaries": ()}, "no boundary to measure at"),
        ("a.onnx", {"boundaries": "gpu"}, "--boundary gpu: must be one of device, host, e2e, paced"),
        ("a.onnx", {"boundaries": "paced"}, "--boundary paced and --fps go together"),
        ("a.onnx", {"batch": [1, 0]}, "--batch 0: must be at least 1"),
        ("a.onnx", {"threads": 0}, "--threads 0: must be at least 1"),
        ("a.onnx", {"data": "scenes", "limit": 0}, "--limit 0: must be at least 1"),
        ("a.onnx", {"duration_s": math.nan}, "--duration nan: must be at least 0"),
        ("a.onnx", {"res": "0x32"}, "out of range"),
        ("a.onnx", {"ms_flip": True}, "--ms-flip needs --data"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_work(
    engines: str | list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        benchmark(engines, **options)
