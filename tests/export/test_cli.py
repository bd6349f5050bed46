"""`cgnet-export` as it is typed: what it writes and says, and how it refuses what can't be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.checkpoint.writing import save_official
from cgnet_deploy.export import pipeline
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.fuse.rules import FOLD
from tests.data.own import Sample, yaml_grey
from tests.export.networks import Character, save, trained
from tests.export.test_pipeline import fault
from tests.files import BAD

MODEL = trained(character=Character(dead=0.2))
OUTPUTS = ("cgnet.onnx", "cgnet.onnx.json", "cgnet.plan", "cgnet.plan.json")
OLD = b"what an earlier run left"


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A small checkpoint and the outputs of an earlier run."""
    save(MODEL, workplace / "model.safetensors")
    for name in OUTPUTS:
        (workplace / name).write_bytes(OLD)
    return workplace


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def export(*flags: str) -> int:
    return main(["--ckpt", "model.safetensors", "--res", "33x47", "--batch", "2", *flags])


def test_json_has_what_the_design_promises(folder: Path) -> None:
    assert export("--no-engine", "--json", "report.json") == 0
    report = json.loads((folder / "report.json").read_text())
    assert {
        key: report[key] for key in ("schema", "onnx", "engine", "precision", "res", "batch", "target", "kept_f32")
    } == {
        "schema": 1,
        "onnx": "cgnet.onnx",
        "engine": None,
        "precision": "f32",
        "res": [33, 47],
        "batch": 2,
        "target": "generic",
        "kept_f32": [],
    }
    assert set(report["fusion"]) == {"fired", "skipped", "nodes_before", "nodes_after", "ops_before", "ops_after"}
    assert set(report["verify"]) == {"images", "argmax_agreement", "max_abs_diff", "max_abs_logit"}
    assert 0 < report["verify"]["max_abs_diff"] <= 1e-5 * report["verify"]["max_abs_logit"]


def test_replaces_the_outputs_of_an_earlier_run(folder: Path) -> None:
    assert export("--no-engine") == 0
    assert read_artifact(folder / "cgnet.onnx").shape == (2, 33, 47)
    assert (folder / "cgnet.plan").read_bytes() == OLD  # not asked for


def test_writes_to_the_paths_given(folder: Path) -> None:
    (folder / "out").mkdir()
    assert export("--no-engine", "--tensor-io", "--onnx", "out/mine.onnx") == 0
    assert read_artifact(folder / "out/mine.onnx").io == "tensor"
    assert (folder / "cgnet.onnx").read_bytes() == OLD


def test_what_a_person_reads_goes_to_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--no-engine") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "tracing M2N2, 3 classes, at H=33 W=47, batch 2" in captured.err


def test_pruning_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--no-engine", "--prune-dead", "--json", "report.json") == 0
    pruning = json.loads((folder / "report.json").read_text())["pruning"]
    assert pruning["macs_after"] < pruning["macs_before"]
    assert "GMAC per image" in capsys.readouterr().out


def test_an_open_plan_takes_up_to_what_was_asked_for(folder: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    assert export("--dynamic", "both", "--builder", "rtx") == 0
    assert read_artifact(folder / "cgnet.plan").shape == (None, None, None)


def test_without_a_builder_the_onnx_file_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cgnet_deploy.engines.trtapi.PACKAGES", {"tensorrt": "no_such_trt", "rtx": "no_such_rtx"})
    assert export() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--no-engine" in error
    assert "pip install" in error
    assert read_artifact(folder / "cgnet.onnx").shape == (2, 33, 47)
    assert (folder / "cgnet.plan").read_bytes() == OLD


def test_a_step_that_changes_the_network_ends_with_3(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "FOLD", (*FOLD, fault("classifier")))
    before = contents(folder)
    assert export("--json", "report.json") == 3
    assert contents(folder) == before
    assert capsys.readouterr().err.splitlines()[-1].endswith("nothing was written")


INT8 = ["--int8", "--calib-data", "scenes", "--calib-images", "8", "--res", "33x47", "--no-engine"]

# The flags, beside --ckpt model.safetensors, and a part of the message.
BAD_FLAGS: Mapping[str, tuple[list[str], str]] = {
    "a size of nothing": (["--res", "0x0"], "each side must be 32 to 8192 pixels"),
    "a size of one pixel": (["--res", "1x1"], "each side must be 32 to 8192 pixels"),
    "one side": (["--res", "1024"], "'1024' is not HEIGHTxWIDTH in pixels, such as 1024x2048"),
    "a size in letters": (["--res", "axb"], "'axb' is not HEIGHTxWIDTH"),
    "a size of ten gigapixels": (["--res", "100000x100000"], "each side must be 32 to 8192 pixels"),
    "sides in bounds, their product not": (["--res", "8192x8192"], "their product at most"),
    "a negative size": (["--res=-32x32"], "'-32x32' is not HEIGHTxWIDTH"),
    "no frame": (["--batch", "0"], "--batch 0: must be between 1 and 256"),
    "too many frames": (["--batch", "257"], "--batch 257: must be between 1 and 256"),
    "frames in letters": (["--batch", "two"], "invalid int value: 'two'"),
    "two precisions": (["--fp16", "--fp32"], "not allowed with argument"),
    "a misspelt flag": (["--fp61"], "did you mean --fp16?"),
    "a shortened flag": (["--no-eng"], "did you mean --no-engine?"),
    "an unknown target": (["--target", "tpu"], "invalid choice: 'tpu'"),
    "an unknown builder": (["--builder", "tvm"], "invalid choice: 'tvm'"),
    "an unknown rule": (["--without", "batchnorm-con"], "--without batchnorm-con: must be one of"),
    "frames to watch without pruning": (["--prune-images", "5", "--data", "."], "needs --prune-dead and --data"),
    "frames to watch without data": (["--prune-dead", "--prune-images", "5"], "needs --prune-dead and --data"),
    "int8 without frames": (["--int8"], "--int8 needs frames to calibrate on"),
    "frames to calibrate on without int8": (["--calib-data", "."], "--calib-data needs --int8"),
    "what to leave out without int8": (["--fp16", "--exclude", "stem"], "--exclude needs --int8"),
    "a cache of ranges without int8": (["--calib-cache", "x"], "--calib-cache needs --int8"),
    "no folder to calibrate on": (["--int8", "--calib-data", "nowhere"], "nowhere does not exist"),
    "a folder without frames to calibrate on": (["--int8", "--calib-data", "."], "is not in a known data set format"),
    "one frame to calibrate on": ([*INT8, "--calib-images", "1"], "--calib-images 1: must be between 8 and 4096"),
    "no such cache of ranges": (["--int8", "--calib-cache", "none.json"], "none.json does not exist"),
    "a cache of ranges that is something else": (
        ["--int8", "--calib-cache", "model.safetensors"],
        "must be different files",
    ),
    "an unknown way to choose ranges": ([*INT8, "--calib-method", "guess"], "invalid choice: 'guess'"),
    "no regular expression": ([*INT8, "--exclude", "("], "'(' is no regular expression"),
    "a limit without a lower precision": (["--max-drop", "1", "--data", "scenes"], "--max-drop needs --fp16 or --int8"),
    "a limit without labels": (["--fp16", "--max-drop", "1"], "and labelled frames: --data"),
    "a negative limit": (["--fp16", "--max-drop=-1", "--data", "scenes"], "must be between 0 and 100"),
    "a limit that is no number": (["--fp16", "--max-drop", "nan", "--data", "scenes"], "must be between 0 and 100"),
    "labels of other classes": (["--fp16", "--max-drop", "1", "--data", "scenes"], "the network has 3"),
    "a negative number of frames to watch": (
        ["--prune-dead", "--prune-images", "-1"],
        "-1: must be between 0 and 1000",
    ),
    "no data there": (["--data", "nowhere"], "nowhere does not exist"),
    "a folder without data": (["--data", "."], "is not in a known data set format"),
    "a mean of two": (["--mean", "1,2"], "'1,2' is not three numbers"),
    "a std of nothing": (["--std", "1,0,1"], "is not three positive numbers"),
    "an unknown contract": (["--contract", "kitti"], "invalid choice: 'kitti'"),
    "an ONNX file in no folder": (["--onnx", "nowhere/x.onnx"], "nowhere/x.onnx can't be written"),
    "an ONNX file in a file": (["--onnx", "model.safetensors/x.onnx"], "can't be written"),
    "an ONNX file on stdout": (["--onnx", "-"], "- is no regular file: an artifact needs one"),
    "an ONNX file that is a device": (["--onnx", "/dev/null"], "/dev/null is no regular file"),
    "a plan that is a device": (["--engine", "/dev/null"], "/dev/null is no regular file"),
    "a folder for Triton that is a file": (["--triton", "model.safetensors"], "model.safetensors is no folder"),
    "a folder for DeepStream in a file": (["--deepstream", "model.safetensors/x"], "model.safetensors is no folder"),
    "an ONNX file that is a folder": (["--onnx", "."], "can't be written"),
    "a plan in no folder": (["--engine", "nowhere/x.plan"], "nowhere/x.plan can't be written"),
    "a plan in a file": (["--engine", "model.safetensors/x.plan"], "can't be written"),
    "a report in no folder": (["--json", "nowhere/x.json"], "nowhere/x.json can't be written"),
    "the checkpoint as output": (["--onnx", "model.safetensors"], "must be different files"),
    "one file for both outputs": (["--onnx", "cgnet.plan"], "must be different files"),
}


def assert_refused(folder: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line, and nothing written or destroyed."""
    before = contents(folder)
    assert main(flags) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("cgnet-export: error: ")
    assert message in line
    assert contents(folder) == before


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_refuses_flags(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, message = BAD_FLAGS[case]
    assert_refused(folder, ["--ckpt", "model.safetensors", *flags], message, capsys)


@pytest.mark.parametrize(
    "flags", [["--fp16"], ["--int8", "--calib-data", "scenes:0:33x47", "--calib-images", "8"]], ids=["f16", "int8"]
)
def test_a_limit_on_labels_without_a_scored_pixel_is_refused_before_the_work(
    flags: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(*_: object, **__: object) -> None:
        pytest.fail("the work began")

    monkeypatch.setattr(pipeline, "prepare", traced)
    ignored = np.full((40, 56), 255, np.uint8)
    yaml_grey(folder / "own", [Sample("val", str(i), np.zeros((40, 56, 3), np.uint8), ignored) for i in range(3)])
    (folder / "own" / "data.yaml").write_text("val: images/val\nmasks_dir: masks\nnames: [a, b, c]\n")
    flags = ["--ckpt", "model.safetensors", "--res", "33x47", *flags, "--max-drop", "1", "--data", "own"]
    assert_refused(folder, flags, "no pixel of 3 label maps is of a class, all are ignored", capsys)


def test_refuses_no_checkpoint_at_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(folder, ["--fp16"], "the following arguments are required: --ckpt", capsys)


@pytest.mark.parametrize("case", BAD)
def test_refuses_checkpoints(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, message = BAD[case]
    mark = folder / "made by code in the file"
    (folder / "bad.pth").write_bytes(make(str(mark)))
    assert_refused(folder, ["--ckpt", "bad.pth"], message, capsys)
    assert not mark.exists()


@pytest.mark.parametrize(("name", "message"), [("none.pth", "does not exist"), (".", "")])
def test_refuses_a_checkpoint_that_is_no_file(
    name: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(folder, ["--ckpt", name], message, capsys)


def test_refuses_a_network_without_a_known_contract(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_official(folder / "three.pth", trained(), {})
    assert_refused(folder, ["--ckpt", "three.pth"], "no input contract is known for 3 classes", capsys)


def test_server_folders_open_the_batch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--ckpt", "model.safetensors", "--res", "33x47", "--no-engine"]
    assert main([*flags, "--triton", "models", "--deepstream", "ds"]) == 0
    assert read_artifact(folder / "cgnet.onnx").shape == (None, 33, 47)
    assert (folder / "models/cgnet_onnxruntime/1/model.onnx").read_bytes() == (folder / "cgnet.onnx").read_bytes()
    assert "max_batch_size: 8" in (folder / "models/cgnet_openvino/config.pbtxt").read_text()
    assert "batch-size=8" in (folder / "ds/config_infer.txt").read_text()
    assert "cgnet_tensorrt  is left out" in capsys.readouterr().out


def test_a_deepstream_batch_of_several_frames_is_open(folder: Path) -> None:
    flags = ["--ckpt", "model.safetensors", "--res", "33x47", "--no-engine", "--batch", "2"]
    assert main([*flags, "--deepstream", "ds"]) == 0
    assert read_artifact(folder / "ds/cgnet.onnx").shape == read_artifact(folder / "cgnet.onnx").shape == (None, 33, 47)
