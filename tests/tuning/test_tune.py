"""cgnet-tune on machines whose times are made up: the right winner, a reason for every other, and what it leaves."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.errors import AccuracyError, DataError, MissingPackage, PerformanceError, UsageError
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.tuning.api import tune
from cgnet_deploy.tuning.candidates import NotSearched
from cgnet_deploy.tuning.cli import main
from cgnet_deploy.tuning.kept import left_out
from cgnet_deploy.tuning.race import LEAST_ROUNDS
from tests.data.trees import camvid_tree, spoil
from tests.tuning.conftest import SECOND_GROUP, Run, fates
from tests.tuning.machines import AVX2, RES, VNNI, Machine, Table, export_nothing


@pytest.mark.parametrize(
    ("times", "max_drop", "winner"),
    [
        (AVX2, 0.1, "openvino:openvino-f32.onnx"),
        (AVX2, 1.0, "openvino:openvino-f32.onnx"),
        (VNNI, 0.1, "openvino:openvino-int8-most.onnx"),
        (VNNI, 0.3, "openvino:openvino-int8-all.onnx"),
        (VNNI, 1.0, "openvino:openvino-int8-stored.onnx"),
        (VNNI, 0.0, "openvino:openvino-f32.onnx"),
    ],
)
def test_each_machine_gets_its_own_winner(on: Run, times: Table, max_drop: float, winner: str) -> None:
    tuned = on(Machine(times), max_drop=max_drop)
    assert tuned.winner.name == f"{winner} 2 threads"
    assert tuned.winner.engine == f"{winner.partition(':')[0]}:tuned/cgnet.onnx"
    name = winner.partition(":")[2]
    assert Path("tuned/cgnet.onnx").read_bytes() == Path("tuned/files", name).read_bytes()
    assert read_artifact(tuned.file).made_with["name"] == name
    reported = Path("tuned/report.html").read_text().splitlines()
    assert reported[0] == "ort:tuned/files/torch.onnx.export.onnx"  # the first is what the others are compared with
    assert f"{winner.partition(':')[0]}:tuned/files/{name}" in reported


def test_on_a_gpu_the_winner_is_a_plan(on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of TensorRT's candidates; not yet run on a GPU."""
    monkeypatch.setattr("cgnet_deploy.tuning.api.why_not", lambda backend: None if backend == "trt" else "not here")
    times = {"trt:tensorrt-int8-most.plan": 0.9, "trt:tensorrt-int8-all.plan": 0.8, "trt:tensorrt-f16.plan": 1.1}
    tuned = on(Machine(times), max_drop=0.1)
    assert tuned.winner.engine == "trt:tuned/cgnet.plan"
    assert read_artifact(tuned.file).made_with["name"] == "tensorrt-int8-most.plan"
    assert "--int8-scope most --target tensorrt --prune-dead" in tuned.winner.command
    assert "--onnx cgnet.onnx --engine cgnet.plan" in tuned.winner.command


def test_where_our_triton_kernels_win_the_checkpoint_is_the_file(
    on: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not yet run on a GPU."""
    here = ("trt", "torch-fast", "torch-fast-f16")
    monkeypatch.setattr("cgnet_deploy.tuning.api.why_not", lambda backend: None if backend in here else "not here")
    times = {"torch-fast-f16:checkpoint.pth": 0.5, "torch-fast:checkpoint.pth": 0.9, "trt:tensorrt-f16.plan": 0.8}
    tuned = on(Machine(times), max_drop=0.1)
    assert tuned.winner.engine == "torch-fast-f16:tuned/cgnet.pth"
    assert tuned.file.read_bytes() == weights.read_bytes()
    assert shlex.split(tuned.winner.command) == ["cp", str(weights), "cgnet.pth"]


def test_what_is_slower_for_sure_leaves_early_and_is_not_scored(on: Run) -> None:
    machine = Machine(AVX2)
    on(machine)
    for name in ("ort:ort-cpu-int8-most.onnx", "openvino:openvino-f32-unpruned.onnx"):
        assert fates()[name].startswith("slower: 1.")
        assert "of the time of openvino:openvino-f32.onnx 2 threads" in fates()[name]
        assert machine.tried("measure").count(name) == LEAST_ROUNDS  # never on one sample
        assert name not in machine.tried("score")


def test_a_coarse_one_that_is_refused_brings_back_what_it_eliminated(on: Run) -> None:
    times = {**VNNI, "openvino:openvino-int8-most.onnx": 30.0, "ort:ort-cpu-int8-most.onnx": 12.0}
    tuned = on(Machine(times, {"ort-cpu-int8": 5.0}), max_drop=1.0, only="most|f32")
    assert tuned.winner.name.startswith("openvino:openvino-f32.onnx")
    assert fates()["ort:ort-cpu-int8-most.onnx"].startswith("refused: mIoU 4.4")
    assert "of the time of openvino:openvino-f32.onnx" in fates()["openvino:openvino-int8-most.onnx"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("crashes", "failed: openvino:openvino-int8-most.onnx: its process crashes"),
        ("hangs", "failed: openvino:openvino-int8-most.onnx: its process hangs"),
        ("runs out of memory", "failed: openvino:openvino-int8-most.onnx: its process runs out of memory"),
        ("gives wrong labels", "failed: wrong labels: 0.00% of the pixels have PyTorch's label, 70% were wanted"),
        ("is not for this machine", "failed: openvino:openvino-int8-most.onnx is not for this machine"),
    ],
)
def test_what_goes_wrong_is_a_row_with_its_reason_and_never_the_winner(on: Run, fault: str, reason: str) -> None:
    tuned = on(Machine({**VNNI, "openvino:openvino-int8-most.onnx": fault}), only="most|f32")
    assert fates()["openvino:openvino-int8-most.onnx"] == reason
    assert tuned.winner.name.startswith("openvino:openvino-f32.onnx")
    assert reason[:60] in tuned.summary()


@pytest.mark.parametrize("error", [AccuracyError("no int8 here"), RuntimeError("no int8 here")])
def test_what_cannot_be_exported_is_a_row_too(on: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(words: Any) -> Any:
        if "--int8" in words:
            raise error
        return export_nothing(words)

    monkeypatch.setattr("cgnet_deploy.tuning.make.export_as", refuse)
    assert on(Machine(VNNI)).winner.name.startswith("openvino:openvino-f32.onnx")
    assert fates()["openvino:openvino-int8-all.onnx"].startswith("failed: can't be exported: ")
    assert fates()["openvino:openvino-int8-all.onnx"].endswith("no int8 here")


def test_it_says_how_the_winner_compares_and_how_to_make_it_again(on: Run) -> None:
    tuned = on(Machine(VNNI), max_drop=0.1)
    lines = tuned.summary().splitlines()
    assert lines[2].split()[:6] == ["openvino", "openvino-int8-most.onnx", "2", "12.00", "99.95", "0.050"]
    assert "  native: no native here" in lines[lines.index("not searched:") :]
    assert "winner: openvino:tuned/cgnet.onnx, 2 threads: p50 12.00 ms, mIoU 0.050 points below PyTorch" in lines
    times = [line.split(" (")[0] for line in lines if "as fast as" in line]
    assert times == ["  12.50", "  10.00", "  9.17"]
    assert "torch.onnx.export's graph, openvino (110.00 ms, the fastest of these)" in tuned.summary()
    command = shlex.split(tuned.winner.command)
    assert command[0] == "cgnet-export"
    assert {"--int8", "--prune-dead", "--min-speedup"} < set(command)
    assert export_main([*command[1:], "--ckpt", "nowhere.pth"]) == 2  # its words are flags of that command


def test_what_was_not_searched_for_one_reason_is_one_line() -> None:
    reasons = {"trt": "no GPU", "native-bf16": "no bf16", "trt-plain": "no GPU"}
    lines = left_out([NotSearched(backend, why) for backend, why in reasons.items()])
    assert list(lines) == ["  trt, trt-plain: no GPU", "  native-bf16: no bf16"]


def test_without_the_exporters_package_its_graph_is_left_out(
    on: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise MissingPackage("onnxscript can't be imported")

    monkeypatch.setattr("cgnet_deploy.export.plain.export_plain", missing)
    assert [peer.engine for peer in on(Machine(AVX2)).winner.peers] == ["PyTorch"]
    assert "torch.onnx.export's graph is left out: onnxscript can't be imported" in caplog.text


@pytest.mark.parametrize(
    ("options", "error", "says", "kept"),
    [
        ({"target_ms": 1.0}, PerformanceError, "--target-ms 1 can't be met", "openvino-int8-most.onnx"),
        ({"max_drop": 0.01, "only": "int8"}, AccuracyError, "--max-drop 0.01 can't be met", "openvino-int8-most.onnx"),
        ({"max_size_mib": 0.001}, PerformanceError, "no file is small enough", None),
    ],
)
def test_what_cannot_be_met_keeps_the_best_under_another_name(
    on: Run, options: dict[str, Any], error: type[Exception], says: str, kept: str | None
) -> None:
    with pytest.raises(error, match=says):
        on(Machine(VNNI), **options)
    assert not Path("tuned/cgnet.onnx").exists()
    name = read_artifact(Path("tuned/cgnet.missed.onnx")).made_with["name"]
    assert kept is None or name == kept
    assert says in json.loads(Path("tuned/tune.json").read_text())["failure"]


def test_when_the_time_is_up_the_rest_is_not_tried(on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock, one an export, is 28 s later: of 5 minutes, 3 are for the first group."""
    readings = (28_000_000_000 * i for i in itertools.count())
    monkeypatch.setattr("cgnet_deploy.tuning.session.CLOCK", SimpleNamespace(now_ns=lambda: next(readings)))
    assert on(Machine(AVX2), time_min=5).winner.name.startswith("openvino:openvino-f32.onnx")
    assert fates()[SECOND_GROUP] == "not tried: the time was up"
    assert on(Machine(AVX2)).winner.name.startswith("openvino:openvino-f32.onnx")
    assert fates()[SECOND_GROUP].startswith("slower")


def test_with_hardly_any_time_one_is_tried(on: Run) -> None:
    assert on(Machine(VNNI), time_min=0.01).winner.name.startswith("openvino:openvino-int8-most.onnx")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": "("}, "is no regular expression"),
        ({"only": "nothing"}, "nothing can be tried here that --only nothing matches: trt: no trt here"),
        ({"max_drop": 101.0}, "--max-drop 101.0: must be between 0 and 100 points"),
        ({"boundary": "paced"}, "--boundary paced and --fps go together"),
        ({"target_ms": 0.0}, "--target-ms 0.0: must be at least 0.001"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(on: Run, options: dict[str, Any], says: str) -> None:
    machine = Machine(VNNI)
    with pytest.raises(UsageError, match=says.replace("(", r"\(") if "(" in says else says):
        on(machine, **options)
    assert machine.asked == []


@pytest.mark.parametrize("given", ["data", "calib_data"])
@pytest.mark.parametrize("fault", ["cut", "noise"])
def test_a_damaged_picture_is_found_before_any_work(
    given: str, fault: str, on: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, damaged = (camvid_tree(tmp_path / name, images=9) for name in ("whole", "damaged"))
    spoil(damaged / "val" / "val8.png", fault)
    spoil(damaged / "train" / "train8.png", fault)
    machine = Machine(VNNI)
    monkeypatch.setattr("cgnet_deploy.tuning.api.engine_process", machine.start)
    data, calib_data = (damaged, whole) if given == "data" else (whole, damaged)
    with pytest.raises(DataError, match=r"damaged/(train|val)/(train|val)8\.png"):
        tune(weights, data, calib_data=calib_data, res="48x64", threads=2)
    assert machine.asked == []


def test_the_command_ends_with_the_code_of_the_gate(
    on: Run, monkeypatch: pytest.MonkeyPatch, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cgnet_deploy.tuning.api.engine_process", Machine(VNNI).start)
    words = ["--ckpt", str(weights), "--data", "scenes:0:32x48", "--limit", "1", "--res", str(RES), "--only", "f32"]
    assert main([*words, "--target-ms", "1"]) == 4
    assert main([*words, "--only", "int8", "--max-drop", "0.01"]) == 3
    assert main(words) == 0
    assert "winner: openvino:tuned/cgnet.onnx" in capsys.readouterr().out
