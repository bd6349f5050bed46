"""`cgnet-bench --report`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cgnet_deploy.bench.cli import main
from tests.bench.conftest import WriteEngine
from tests.bench.report.page.test_page import Reader

QUICK = ("--warmup", "0", "--duration", "0", "--iterations", "10", "--threads", "1")


def test_a_report_of_a_run_and_again_from_its_journal(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road, sky, rows = write_engine("road.onnx", 3), write_engine("sky.onnx", 0), tmp_path / "rows.jsonl"
    report, again = tmp_path / "report.html", tmp_path / "again.html"
    argv = ["--engine", str(road), "--engine", str(sky), "--res", "40x48", "--data", str(camvid), *QUICK]
    assert main([*argv, "--jsonl", str(rows), "--report", str(report)]) == 0
    read = Reader(report.read_text())
    assert sum(tag == "img" for tag, _ in read.tags) == 3 * 4  # each frame: truth, two engines, one difference
    assert "1920 of 1920 pixels differ" in " ".join(read.text.split())
    table = capsys.readouterr().out

    assert main(["--from", str(rows), "--report", str(again), "--json", str(tmp_path / "again.json")]) == 0
    assert capsys.readouterr().out == table
    second = Reader(again.read_text())
    assert json.loads(second.raw["script"][0]) == json.loads(read.raw["script"][0])
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(read.raw["script"][0])
    assert "No pictures" in second.text
    assert str(road) in second.text  # the command that measured, not the one that read


def test_a_single_engine_is_shown_too(write_engine: WriteEngine, camvid: Path, tmp_path: Path) -> None:
    engine, report = str(write_engine("road.onnx", 3, sides=(1, 40, 48))), tmp_path / "report.html"
    assert main(["--engine", engine, "--data", str(camvid), "--limit", "1", "--report", str(report), *QUICK]) == 0
    assert sum(tag == "img" for tag, _ in Reader(report.read_text()).tags) == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--engine", "a.onnx", "--from", "r.jsonl"], "give --engine FILE to measure, or --from FILE"),
        (["--from", "r.jsonl", "--data", "scenes"], "--data is about measuring"),
        (["--from", "r.jsonl", "--iterations", "7"], "--iterations is about measuring"),
        (["--from", "r.jsonl", "--jsonl", "s.jsonl"], "--jsonl is about measuring"),
        (["--from", "r.jsonl"], "r.jsonl holds no row"),
        (["--engine", "a.onnx", "--report", "missing/r.html"], "missing/r.html can't be written"),
    ],
)
def test_bad_usage(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())
