"""Engines beside busy processes: these run while the engines are timed, and no longer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.bench.api import benchmark
from cgnet_deploy.bench.tools import beside
from tests.engines.graphs import written


def test_engines_are_timed_while_the_processes_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(written(tmp_path / "tiny.onnx", "frames", (1, 40, 56)).path)
    started: list[subprocess.Popen[bytes]] = []
    states: list[bool] = []
    busy_processes = beside.busy_processes

    @contextmanager
    def watched(count: int) -> Iterator[tuple[subprocess.Popen[bytes], ...]]:
        with busy_processes(count) as processes:
            started.extend(processes)
            yield processes

    def timed(*args: Any, **options: Any) -> object:
        states.extend(process.poll() is None for process in started)
        return benchmark(*args, iterations=1, warmup_ms=0, **options)

    monkeypatch.setattr(beside, "busy_processes", watched)
    monkeypatch.setattr(beside, "benchmark", timed)
    command = ["--engine", engine, "--res", "40x56", "--busy", "2", "--threads", "1", "--duration", "0"]
    assert beside.main([*command, "--out", str(tmp_path / "rows.json")]) == 0
    assert states == [True, True]
    assert all(process.poll() is not None for process in started)
    (row,) = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert row["boundary"] == "e2e"
    assert "tiny.onnx" in capsys.readouterr().out


def test_a_busy_process_ends_with_the_one_that_started_it() -> None:
    done = subprocess.run([sys.executable, "-c", beside.BUSY, "1"], timeout=60, check=False)
    assert done.returncode == 0
