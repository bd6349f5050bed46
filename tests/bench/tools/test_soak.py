"""The soak test's own arithmetic, and that it bites; the 20,000 frames themselves are no part of these tests."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cgnet_deploy.bench.tools import soak
from tests.engines.graphs import written


def test_growth_is_that_of_the_last_quarter() -> None:
    flat = [50.0] * 100 + [80.0] * 300
    assert soak.growth_percent(flat) == 0
    assert soak.growth_percent([*flat[:300], *(80 + i / 10 for i in range(100))]) == pytest.approx(100 * 9 / 80.45)
    assert soak.growth_percent([*flat[:300], *(80 - i / 10 for i in range(100))]) < 0


def test_memory_that_grows_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(written(tmp_path / "tiny.onnx", "frames", (1, 40, 56)).path)
    looks = iter(range(100, 1000))
    monkeypatch.setattr(soak, "resident_mib", lambda process="self": float(next(looks)))
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1"]) == 1
    assert "memory grows" in capsys.readouterr().err
    monkeypatch.setattr(soak, "resident_mib", lambda process="self": 100.0)
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1"]) == 0
    assert "the last quarter grew by 0.000 %" in capsys.readouterr().out


def test_a_program_is_watched_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(written(tmp_path / "tiny.onnx", "frames", (1, 40, 56)).path)
    program = tmp_path / "cgnet_video"
    # It ends when the memory has been looked at often enough.
    program.write_text(f"#!/bin/sh\ntest -f $2 && read word < {tmp_path}/enough && echo '400 frames of H=40'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.mkfifo(tmp_path / "enough")
    looks = 0

    def resident_mib(process: int) -> float:
        nonlocal looks
        looks += 1
        if looks == 40:
            (tmp_path / "enough").write_text("enough\n")
        return 100.0 + looks

    monkeypatch.setattr(soak, "resident_mib", resident_mib)
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1", "--program", str(program)]) == 1
    assert "memory grows" in capsys.readouterr().err
    assert looks >= 40
    monkeypatch.setattr(soak, "resident_mib", lambda process: 100.0)
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1", "--program", "false"]) == 1
    assert "false ended with code 1 and: " in capsys.readouterr().err
