"""cgnet-bench as a user types it: real processes, ONNX Runtime, engines of one convolution."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cgnet_deploy.bench.cli import main
from cgnet_deploy.bench.machine.readings import Machine
from tests.bench.conftest import QUICK, WriteEngine
from tests.children import interruptible
from tests.engines.graphs import written

COMMAND = (sys.executable, "-c", "import sys; from cgnet_deploy.bench.cli import main; sys.exit(main())")
ROAD_IOU = 26 / 39  # of the fixture's counted rows, 26 of 39 are Road


def test_two_engines_end_to_end(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road, sky = write_engine("road.onnx", 3), write_engine("sky.onnx", 0)
    result = tmp_path / "result.json"
    code = main(
        [
            "--engine",
            str(road),
            "--engine",
            str(sky),
            "--res",
            "32x64",
            "--batch",
            "2",
            "--data",
            str(camvid),
            "--boundary",
            "host",
            "--boundary",
            "e2e",
            "--json",
            str(result),
            *QUICK,
        ]
    )
    captured = capsys.readouterr()
    assert code == 0
    assert "H=32 W=64" in captured.err
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["road.onnx", "sky.onnx", "road.onnx", "sky.onnx"]

    content = json.loads(result.read_text())
    assert content["schema"] == 1
    assert content["environment"]["threads"] == 1
    assert [(row["engine"], row["boundary"]) for row in content["rows"]] == [
        (str(road), "host"),
        (str(sky), "host"),
        (str(road), "e2e"),
        (str(sky), "e2e"),
    ]
    for row in content["rows"]:
        assert (row["backend"], row["provider"], row["precision"]) == ("onnxruntime", "CPUExecutionProvider", "f32")
        assert (row["res"], row["batch"], row["samples"], row["images"]) == ([32, 64], 2, 20, 3)
        latency = row["latency_ms"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["max"]
        assert latency["p99"] is None
        assert row["throughput_fps"] * latency["min"] / 1e3 <= row["batch"]
    first, second = content["rows"][:2]
    assert first["iou"]["Road"] == pytest.approx(ROAD_IOU)
    assert first["iou"]["Sky"] == 0
    assert first["iou"]["Car"] is None  # neither in truth nor predicted
    assert first["miou"] == pytest.approx(ROAD_IOU / 2)
    assert second["iou"]["Sky"] == pytest.approx(1 - ROAD_IOU)


def test_without_data_only_latency_is_measured(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = write_engine("a.onnx", 0, sides=(2, 32, 48))
    assert main(["--engine", str(engine), "--json", "-", *QUICK]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)["rows"]
    assert (row["res"], row["batch"], row["boundary"]) == ([32, 48], 2, "e2e")
    assert (row["miou"], row["images"], row["iou"]) == (None, 0, {})
    assert "p50 ms" in captured.err  # the table makes room on stdout


def test_the_same_engine_twice_is_two_rows(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 32, 48)))
    assert main(["--engine", engine, "--engine", engine, "--csv", "-", *QUICK]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["engine"] for row in rows] == [engine, engine]


def test_a_name_that_is_not_utf_8(write_engine: WriteEngine, tmp_path: Path) -> None:
    engine = str(write_engine(os.fsdecode(b"\xff.onnx"), 0, sides=(1, 32, 48)))
    outputs = {form: tmp_path / f"a.{form}" for form in ("csv", "json", "markdown", "report", "jsonl")}
    flags = [word for form, path in outputs.items() for word in (f"--{form}", str(path))]
    assert main(["--engine", engine, *flags, *QUICK]) == 0
    assert all("\\udcff.onnx" in path.read_text() for path in outputs.values())


def test_paced(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 32, 48)))
    assert main(["--engine", engine, "--boundary", "paced", "--fps", "100", "--json", "-", *QUICK]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["boundary"] == "paced"
    assert row["throughput_fps"] <= 100.0001  # never faster than the camera


def test_a_limit_scores_only_the_first_images(
    write_engine: WriteEngine, camvid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 3, sides=(1, 40, 48)))
    (camvid / "val" / "2.png").write_bytes(b"never read")
    assert main(["--engine", engine, "--data", str(camvid), "--limit", "2", "--json", "-", *QUICK]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["images"] == 2
    assert row["iou"]["Road"] == pytest.approx(ROAD_IOU)


@pytest.mark.parametrize(("gate", "code"), [("0.3", 0), ("0.4", 3)])
def test_the_accuracy_gate(
    gate: str, code: int, write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, result = str(write_engine("a.onnx", 3, sides=(1, 40, 48))), tmp_path / "r.json"
    flags = ["--data", str(camvid), "--fail-under-miou", gate, "--json", str(result)]
    assert main(["--engine", engine, *flags, *QUICK]) == code
    assert json.loads(result.read_text())["rows"][0]["miou"] == pytest.approx(ROAD_IOU / 2)  # written in either case
    assert ("mIoU 0.3333 is below 0.4" in capsys.readouterr().err) is (code == 3)


@pytest.mark.parametrize(("gate", "code"), [("1e9", 0), ("0", 4)])
def test_the_performance_gate(
    gate: str, code: int, write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 3, sides=(1, 40, 48)))
    assert main(["--engine", engine, "--fail-over-ms", gate, *QUICK]) == code
    captured = capsys.readouterr()
    assert ("is above 0.0 ms" in captured.err) is (code == 4)
    assert "a.onnx" in captured.out


def test_a_run_against_its_own_result_passes_and_against_a_better_one_fails(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, result = str(write_engine("a.onnx", 3, sides=(1, 40, 48))), tmp_path / "then.json"
    argv = ["--engine", engine, "--data", str(camvid), "--outlines", *QUICK]
    assert main([*argv, "--json", str(result)]) == 0
    then = json.loads(result.read_text())
    then["rows"][0]["p50_ms_by_round"] = [1e6]  # only accuracy is judged here: these rounds are microseconds of noise
    result.write_text(json.dumps(then))
    assert main([*argv, "--baseline", str(result)]) == 0
    then["rows"][0]["miou"] += 0.005
    result.write_text(json.dumps(then))
    assert main([*argv, "--baseline", str(result), "--markdown", str(tmp_path / "table.md")]) == 3
    assert (tmp_path / "table.md").read_text().startswith("| engine |")
    assert "it was 0.3383" in capsys.readouterr().err


def test_a_row_shows_its_start_its_conditions_and_its_layers(
    write_engine: WriteEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, result = write_engine("a.onnx", 3, sides=(1, 32, 48)), tmp_path / "result.json"
    assert main(["--engine", str(engine), "--profile", "--json", str(result), *QUICK]) == 0
    content = json.loads(result.read_text())
    (row,) = content["rows"]
    assert row["file_bytes"] == engine.stat().st_size
    assert set(row["cold_start_ms"]) == {"libraries", "load", "first"}
    assert all(ms > 0 for ms in row["cold_start_ms"].values())
    assert row["cold_start_ms"]["libraries"] > row["latency_ms"]["p50"]  # ONNX Runtime is not imported in that time
    (layer,) = (layer for layer in row["profile"]["layers"] if layer["kind"] == "Conv")
    assert layer["ms"] > 0
    assert sum(row["profile"]["blocks_ms"].values()) == pytest.approx(
        sum(layer["ms"] for layer in row["profile"]["layers"])
    )
    machine = Machine()
    assert (row["clocks"]["before"]["cpu_mhz"] is None) is (machine.read().cpu_mhz is None)
    assert (row["joules_per_frame"]["cpu"] is None) is ("cpu" in machine.unmeasured)
    assert content["environment"]["ram_mib"] > 0
    assert set(content["environment"]["energy"]) == {"cpu", "gpu", "board"}
    shown = capsys.readouterr().out
    assert "start: libraries" in shown
    assert "other" in shown  # the only node of this graph has no name


@pytest.mark.parametrize("shape", ["frames:2x32x48x3", "frames:2x3x32x48"])
def test_a_shape_as_trtexec_says_it(shape: str, write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = str(write_engine("a.onnx", 0))
    assert main([f"--loadEngine={engine}", f"--shapes={shape}", "--json", "-", *QUICK]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["res"], row["batch"]) == ([32, 48], 2)


def test_a_range_of_batches_is_gone_through(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = str(write_engine("a.onnx", 0))
    assert main(["--engine", engine, "--res", "32x48", "--batch", "1..3", "--batch", "2", "--json", "-", *QUICK]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["batch"] for row in rows] == [1, 2, 3]
    assert all(row["throughput_fps"] > 0 for row in rows)


SWEEP = ("--res", "32x48", "--res", "64x32", "--batch", "1", "--batch", "2")
CELLS = [([32, 48], 1), ([32, 48], 2), ([64, 32], 1), ([64, 32], 2)]


def test_a_killed_sweep_goes_on_where_it_stopped(
    write_engine: WriteEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--engine", str(write_engine("a.onnx", 3)), *SWEEP, "--jsonl", str(tmp_path / "rows.jsonl"), *QUICK]
    with subprocess.Popen([*COMMAND, *argv], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("H=32 W=48, batch 2"):  # the first cell is done
                process.kill()
    done = (tmp_path / "rows.jsonl").read_text()
    assert main([*argv, "--json", "-"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)["rows"]
    assert [(row["res"], row["batch"]) for row in rows] == CELLS
    assert "H=32 W=48, batch 1: 1 rows are in" in captured.err
    assert (tmp_path / "rows.jsonl").read_text().startswith(done)
    # Now that all is there, nothing is measured again, down to the last digit.
    assert main([*argv, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_a_sweep_measures_anew_what_has_changed(
    write_engine: WriteEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--res", "32x48", "--jsonl", str(tmp_path / "rows.jsonl"), *QUICK]
    for label in (3, 3, 0):
        assert main(["--engine", str(write_engine("a.onnx", label)), *flags]) == 0
    assert main(["--engine", str(write_engine("a.onnx", 0)), *flags, "--iterations", "30"]) == 0
    assert capsys.readouterr().err.count("are in") == 1
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3


def test_an_onnx_file_without_its_sidecar_is_the_same_row(tmp_path: Path) -> None:
    ours = written(tmp_path / "ours.onnx", "frames", (1, 40, 56)).path
    (moved := tmp_path / "moved.onnx").write_bytes(ours.read_bytes())
    assert main(["--engine", str(ours), "--engine", str(moved), *QUICK, "--json", str(tmp_path / "r.json")]) == 0
    one, other = json.loads((tmp_path / "r.json").read_text())["rows"]
    for key in ("backend", "provider", "precision", "sha256", "res", "batch"):
        assert one[key] == other[key]


@interruptible()
def test_an_interrupt_ends_the_engines_too(write_engine: WriteEngine) -> None:
    engine = str(write_engine("a.onnx", 3, sides=(1, 40, 48)))
    flags = ["--engine", engine, "--engine", engine, "--duration", "86400", "--warmup", "0", "--threads", "1"]
    with subprocess.Popen([*COMMAND, *flags], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("e2e: round 1"):
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "cgnet-bench: interrupted"
    assert len(children) == 2
    assert not any(Path(f"/proc/{child}").exists() for child in children)
