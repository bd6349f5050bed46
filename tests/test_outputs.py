"""Every output of every command: where it can't be written, one line says so before any work is done.

No input exists: a command that looked at its inputs first would name one of them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.disks import READ_ONLY, full_disk

EXPORT = "export", ["--ckpt", "none.pth", "--no-engine"]
BENCH = "bench", ["--engine", "none.onnx", "--res", "32x48"]
VIDEO = "video", ["--engine", "none.onnx", "--input", "none.mp4"]
SHOWN = "doctor", ["--data", "none"]
FILES = {
    "export --onnx": (*EXPORT, "--onnx", "a.onnx"),
    "export --engine": ("export", ["--ckpt", "none.pth"], "--engine", "a.plan"),
    "export --json": (*EXPORT, "--json", "a.json"),
    "export --calib-cache": (*EXPORT, "--int8 --calib-data none --calib-cache", "a.json"),
    "bench --json": (*BENCH, "--json", "a.json"),
    "bench --csv": (*BENCH, "--csv", "a.csv"),
    "bench --markdown": (*BENCH, "--markdown", "a.md"),
    "bench --report": (*BENCH, "--report", "a.html"),
    "bench --jsonl": (*BENCH, "--jsonl", "a.jsonl"),
    "convert": ("checkpoint", ["--ckpt", "none.pth", "--to", "cgnet"], "", "a.pth"),
    "doctor --json": ("doctor", [], "--json", "a.json"),
    "doctor --write": (*SHOWN, "--write", "a.yaml"),
    "doctor --sheet": (*SHOWN, "--sheet", "a.png"),
    "average": ("train.average", ["none.pth", "--data", "none", "--recipe", "camvid"], "--out", "a.pth"),
    "video --output": (*VIDEO, "--output", "a.mp4"),
    "video --json": (*VIDEO, "--masks m --json", "a.json"),
}
FOLDERS = {
    "export --triton": (*EXPORT, "--triton", "t"),
    "export --deepstream": (*EXPORT, "--deepstream", "d"),
    "export --web": (*EXPORT, "--web", "w"),
    "label": ("label", ["--input", "none", "--engine", "none.onnx"], "--output", "l"),
    "train": ("train", ["--data", "none"], "--out", "r"),
    "tune": ("tuning", ["--ckpt", "none.pth", "--data", "none"], "--out", "t"),
    "video --masks": (*VIDEO, "--masks", "m"),
    "video --output, a folder": (*VIDEO, "--output", "o"),
}
OUTPUTS = [pytest.param(*words, id=name) for name, words in (FILES | FOLDERS).items()]


def said(module: str, before: list[str], flag: str, path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the one line of a command whose output is `path`."""
    cli = import_module(f"cgnet_deploy.{module}" if "." in module else f"cgnet_deploy.{module}.cli")
    code = cli.main([*before, *flag.split(), str(path)])
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    return code, line


@pytest.mark.parametrize(("module", "before", "flag", "name"), OUTPUTS)
@pytest.mark.usefixtures("_elsewhere")
class TestAnOutput:
    def test_in_a_read_only_place(
        self, module: str, before: list[str], flag: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, line = said(module, before, flag, READ_ONLY / name, capsys)
        assert code == 2
        assert f"error: {READ_ONLY / name} can't be written: " in line

    def test_on_a_full_disk(
        self, module: str, before: list[str], flag: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with full_disk():
            code, line = said(module, before, flag, Path(name), capsys)
        assert code == 1
        first = "cgnet.onnx" if module == "export" and flag != "--onnx" else name  # the disk is full for that, too
        assert f"error: {first} can't be written: File too large" in line
        assert list(Path().iterdir()) == []

    def test_with_a_name_that_no_file_system_takes(
        self, module: str, before: list[str], flag: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        long = Path("x" * 300 + name)
        code, line = said(module, before, flag, long, capsys)
        assert code == 2
        assert f"error: {long} can't be written: File name too long" in line


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


INPUTS = [
    ("export", ["--no-engine", "--ckpt"]),
    ("bench", ["--res", "32x48", "--engine"]),
    ("checkpoint", ["a.pth", "--to", "cgnet", "--ckpt"]),
    ("doctor", ["--data"]),
    ("label", ["--output", "l", "--engine", "none.onnx", "--input"]),
    ("train", ["--out", "r", "--data"]),
    ("tuning", ["--data", "none", "--ckpt"]),
    ("video", ["--masks", "m", "--input", "none.mp4", "--engine"]),
    ("video", ["--masks", "m", "--engine", "none.onnx", "--input"]),
]


@pytest.mark.parametrize(("module", "before"), INPUTS)
@pytest.mark.usefixtures("_elsewhere")
def test_an_input_with_a_name_that_no_file_system_takes(
    module: str, before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = said(module, before, "", Path("x" * 300 + ".onnx"), capsys)
    assert code == 2
