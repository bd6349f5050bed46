from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.bench.tools import starts
from tests.engines.graphs import written


@pytest.fixture
def engine(tmp_path: Path) -> str:
    return f"ort:{written(tmp_path / 'tiny.onnx', 'frames', (1, 40, 56)).path}"


def test_each_kind_of_start_is_a_row(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert starts.main(["--engine", engine, "--starts", "1", "--threads", "1"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [[engine, kind, "1"] for kind in ("cold", "filling", "kept")]
    assert all(float(ms) > 0 for row in rows for ms in row[3:])


def test_a_start_with_other_labels_is_no_figure(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = iter("aab")
    monkeypatch.setattr(starts, "_start", lambda *_, **__: starts.Start(1.0, 1.0, next(found)))
    assert starts.main(["--engine", engine, "--starts", "1"]) == 1
    assert "labels differ from one start to another" in capsys.readouterr().err


def test_a_start_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert starts.main(["--engine", f"ort:{tmp_path / 'missing.onnx'}", "--starts", "1"]) == 1
    assert "missing.onnx" in capsys.readouterr().err
