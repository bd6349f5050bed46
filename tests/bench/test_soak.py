"""The soak test's own arithmetic, and that it bites; the 20,000 frames themselves are no part of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.bench import soak
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
    monkeypatch.setattr(soak, "resident_mib", lambda: float(next(looks)))
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1"]) == 1
    assert "memory grows" in capsys.readouterr().err
    monkeypatch.setattr(soak, "resident_mib", lambda: 100.0)
    assert soak.main(["--engine", engine, "--frames", "400", "--threads", "1"]) == 0
    assert "the last quarter grew by 0.000 %" in capsys.readouterr().out
