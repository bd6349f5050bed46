"""int8 that gains nothing is not handed out: the guard on speed, by times that are made up, and once for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.errors import EngineUnavailable, UsageError
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.speed import ROUNDS, least, speedup
from cgnet_deploy.export.targets import TARGETS, target_named
from cgnet_deploy.spec import Precision, Res
from tests.export.networks import save, trained

RES = Res(32, 48)
FRAMES = ("--calib-data", "scenes", "--calib-images", "8")


@pytest.fixture
def export(workplace: Path) -> Callable[..., int]:
    save(trained(11), workplace / "model.safetensors")

    def run(*flags: str) -> int:
        fixed = ["--ckpt", "model.safetensors", "--res", str(RES), "--no-engine", "--int8", "--target", "openvino"]
        return main([*fixed, *FRAMES, "--json", "report.json", *flags])

    return run


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Make up what f32 and int8 take, in ms."""

    def say(f32_ms: float, int8_ms: float) -> None:
        def timed_by(*args: object) -> Callable[[Path], float]:
            return lambda path: f32_ms if read_artifact(path).precision is Precision.F32 else int8_ms

        monkeypatch.setattr("cgnet_deploy.export.speed.timed_by", timed_by)

    return say


def test_a_faster_int8_file_is_written_and_says_by_how_much(
    export: Callable[..., int], takes: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    takes(30.0, 20.0)
    assert export() == 0
    assert read_artifact(Path("cgnet.onnx")).precision is Precision.INT8
    found = json.loads(Path("report.json").read_text())["speedup"]
    assert (found["backend"], found["median"], found["limit"]) == ("openvino", 1.5, 1.02)
    assert len(found["base_ms"]) == len(found["int8_ms"]) == ROUNDS
    says = "int8 is 1.50 (1.50 to 1.50) times as fast as f32 here in openvino: p50 20.00 ms, f32 30.00 ms"
    assert says in capsys.readouterr().out


def test_a_slower_one_is_kept_under_another_name(
    export: Callable[..., int], takes: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    takes(20.0, 30.0)
    Path("cgnet.onnx").write_bytes(b"of an earlier run")
    assert export() == 4
    assert "--min-speedup 1.02 is not met: int8 is 0.67" in capsys.readouterr().err
    assert Path("cgnet.onnx").read_bytes() == b"of an earlier run"
    assert read_artifact(Path("cgnet.missed.onnx")).precision is Precision.INT8


def test_both_files_are_really_timed(export: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgnet_deploy.export.speed.ROUNDS", 2)
    monkeypatch.setattr("cgnet_deploy.export.speed.WARM_S", 0.0)
    monkeypatch.setattr("cgnet_deploy.export.speed.TIMED_S", 0.0)
    assert export("--min-speedup", "0.001") == 0
    found = json.loads(Path("report.json").read_text())["speedup"]
    assert min(*found["base_ms"], *found["int8_ms"]) > 0


def test_where_the_file_cannot_run_it_is_written_unless_a_limit_was_asked_for(
    export: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cgnet_deploy.export.speed.why_not_run", lambda *args: EngineUnavailable("not on this CPU"))
    assert export() == 0
    assert "how fast int8 is was not measured: not on this CPU" in capsys.readouterr().err
    assert json.loads(Path("report.json").read_text()).get("speedup") is None
    assert export("--min-speedup", "1.1", "--onnx", "other.onnx") == 5
    assert not Path("other.onnx").exists()


def test_rounds_are_taken_by_turns_and_the_median_decides() -> None:
    asked: list[str] = []
    slow_at_first: Iterator[float] = iter([90.0, 10.0, *[20.0, 10.0] * (ROUNDS - 1)])

    def p50_ms(path: Path) -> float:
        asked.append(path.name)
        return next(slow_at_first)

    found = speedup("ort", 1.5, Path("f32"), Path("int8"), p50_ms)
    assert asked == ["f32", "int8"] * ROUNDS
    assert found.median == 2.0
    assert found.interval == (2.0, 5.5)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_it_is_the_default_of_int8_for_a_cpu(target: object) -> None:
    chosen = target_named(str(target))
    assert least(None, Precision.INT8, chosen) == (1.02 if chosen.on_cpu else 0)
    assert least(None, Precision.F32, chosen) == least(0, Precision.F32, chosen) == 0
    with pytest.raises(UsageError, match=r"--min-speedup 1\.1 needs --int8 and a --target that is a CPU's: ort-cpu, "):
        least(1.1, Precision.F32 if chosen.on_cpu else Precision.INT8, chosen)
