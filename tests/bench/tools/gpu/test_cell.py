"""One cell of the matrix, run for real on engines of the CPU: who runs, who doesn't and why, and what is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.tools.gpu import cell as cells
from cgnet_deploy.bench.tools.gpu.contenders import Cell, Contender
from cgnet_deploy.bench.tools.gpu.ideal import Ideal
from cgnet_deploy.bench.tools.gpu.rows import Result
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.engines.backends import BY_NAME
from cgnet_deploy.spec import Precision, Res
from tests.bench.conftest import WriteEngine

CELL = Cell(Res(64, 96), 1)
IDEAL = Ideal(11, (3, 21), 1e12)
ROAD, SKY = 3, 0


def contender(
    name: str, precision: Precision = Precision.F32, backend: str = "ort", compiles: bool = False
) -> Contender:
    return Contender(
        replace(BY_NAME.get(backend, BY_NAME["ort"]), name=backend, title=name, slow_start=compiles), precision
    )


@pytest.fixture
def files(write_engine: WriteEngine) -> Path:
    """Two engines, one of which answers otherwise than the f32 one, the reference."""
    write_engine(f"f32_{CELL}.onnx", ROAD)
    return write_engine(f"f16_{CELL}.onnx", SKY).parent


def rows_of(
    monkeypatch: pytest.MonkeyPatch, files: Path, *who: Contender, seconds: float = 60, missing: str = ""
) -> dict[str, Result]:
    monkeypatch.setattr(cells, "CONTENDERS", who)
    monkeypatch.setattr(cells, "BOUNDARIES", ("host", "e2e"))  # a CPU has no clock of its own
    monkeypatch.setattr(cells, "missing", lambda one: missing if one.backend.title == "absent" else "")
    rows = cells.run_cell(CELL, Path("none.pth"), files, {}, IDEAL, CLOCK.now_s() + seconds)
    assert len(rows) == 2 * len(who)
    return {row.subject: row for row in rows}


def test_those_that_can_are_timed_by_turns_and_the_others_say_why_not(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(
        monkeypatch,
        files,
        contender("first"),
        contender("other", Precision.F16),
        contender("absent"),
        contender("unbuilt", Precision.INT8),
        contender("broken", backend="no-such-backend"),
        missing="no card, no fun",
    )
    for name in ("first, f32", "other, f16"):
        for boundary in ("host", "e2e"):
            row = rows[f"{name}, {boundary}"]
            assert row.state == "ran", row.outcome
            assert len(row.details["samples_ns"]) == cells.ROUNDS
            assert all(0 < len(taken) <= cells.SAMPLES for taken in row.details["samples_ns"])
            assert min(min(taken) for taken in row.details["samples_ns"]) > 0
            assert f"p50 {row.details['p50_ms']:.3f} ms" in row.outcome
    assert rows["first, f32, host"].details["labels_differing_from_cpu"] == 0
    assert rows["other, f16, host"].details["labels_differing_from_cpu"] == 1
    assert "0.0000% of labels as on the CPU" in rows["other, f16, host"].outcome
    assert rows["absent, f32, host"] == Result("absent, f32, host", "not run", "no card, no fun")
    assert rows["unbuilt, int8, e2e"].outcome == f"int8_{CELL}.onnx is missing: it was not made"
    assert rows["broken, f32, e2e"].state == "not run"
    assert "no backend is called 'no-such-backend'" in rows["broken, f32, e2e"].outcome


def test_when_the_time_is_up_every_row_says_so(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(monkeypatch, files, contender("late"), seconds=0)
    assert {(row.state, row.outcome) for row in rows.values()} == {
        ("not run", "the time for this size and batch ran out before its turn")
    }


def test_one_that_compiles_too_long_is_stopped_for_the_others(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what the others' rounds leave: here nothing, as if all of the time were theirs."""
    monkeypatch.setattr(cells, "rounds_s", lambda step_ns: 3600.0)
    rows = rows_of(monkeypatch, files, contender("quick"), contender("slow", Precision.F16, compiles=True))
    assert rows["quick, f32, e2e"].state == "ran"
    assert rows["slow, f16, host"].state == "not run"
    assert "too little time to compile" in rows["slow, f16, host"].outcome


def test_an_engine_that_dies_is_a_failed_row(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = cells.CellRun.warm

    def killing(run: cells.CellRun, boundary: Boundary, frames: Path) -> None:
        warm(run, boundary, frames)
        run.all[0].process.process.kill()

    monkeypatch.setattr(cells.CellRun, "warm", killing)
    rows = rows_of(monkeypatch, files, contender("dying"), contender("living", Precision.F16))
    assert rows["dying, f32, host"].state == "failed"
    assert "was killed by SIGKILL" in rows["dying, f32, host"].outcome
    assert rows["living, f16, e2e"].state == "ran"
