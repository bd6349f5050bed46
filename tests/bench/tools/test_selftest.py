"""The script that tries the protocol: its engines do what it says of them, and a run comes to a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.bench.tools import selftest
from cgnet_deploy.bench.tools.selftest import Nothing, Slowed, main
from cgnet_deploy.clock import Clock
from cgnet_deploy.pixels import U8
from tests.bench.conftest import WriteEngine


def test_a_slowed_engine_takes_just_so_much_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5_000]

    def tick() -> int:
        now[0] += 1
        return now[0]

    class Busy(Nothing):
        def infer(self, frames: U8) -> U8:
            now[0] += 1_000
            return self.labels

    monkeypatch.setattr(selftest, "CLOCK", Clock(tick))
    engine = Slowed(Busy(), 1.5)
    begin = now[0]
    assert engine.infer(np.zeros((1, 32, 32, 3), np.uint8)) is engine.engine.labels  # type: ignore[attr-defined]
    assert 1_500 <= now[0] - begin <= 1_510


def test_a_run_ends_in_a_verdict(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 32, 48)))
    flags = ["--runs", "1", "--duration", "0", "--iterations", "20", "--threads", "1"]
    assert main(["--engine", engine, *flags]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("1: p50 ")
    assert last in ("right in 0 of 1 runs", "right in 1 of 1 runs")  # which, is for a quiet machine to say
