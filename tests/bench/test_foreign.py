"""Files of other exporters beside ours, measured by cgnet-bench as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cgnet_deploy.bench.accuracy.api import evaluate
from cgnet_deploy.bench.cli import main
from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.pixels import U8
from tests.bench.conftest import QUICK, WriteEngine
from tests.bench.test_cli import ROAD_IOU

CAMVID_NAMES = [*CAMVID_CLASSES.names]


def to_labels(path: Path, scores: Path, *, sides: tuple[int | str, ...] = (1, 1, 32, 48)) -> Path:
    """A graph of scores with an ArgMax behind, as mmdeploy writes it: int64 labels."""
    model = onnx.load(scores)
    model.graph.node.append(
        helper.make_node("ArgMax", [model.graph.output[0].name], ["labels"], axis=1, keepdims=int(len(sides) == 4))
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, sides))
    onnx.save(model, path)
    return path


def smaller(path: Path, label: int) -> Path:
    """Scores at an eighth of the input, of 5 classes, one of which always wins."""
    bias = np.eye(5, dtype=np.float32)[label]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight", "bias"], ["y"], strides=[8, 8])],
        "smaller",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 4, 6])],
        [numpy_helper.from_array(np.zeros((5, 3, 1, 1), np.float32), "weight"), numpy_helper.from_array(bias, "bias")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def names(path: Path, classes: list[str] = CAMVID_NAMES) -> Path:
    path.write_text("\n".join(classes) + "\n")
    return path


def rows(*words: object, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main([*map(str, words), "--json", "-", *QUICK]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rows"]
    return found


def test_labels_and_scores_are_measured_side_by_side(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = write_engine("scores.onnx", 3, sides=(1, 32, 48))
    labels = to_labels(tmp_path / "labels.onnx", scores)
    said = ("--names", names(tmp_path / "names.txt"), "--mean", "0,0,0", "--std", "255,255,255", "--color", "rgb")
    refs = (scores, labels, f"openvino:{labels}")
    engines = [word for ref in refs for word in ("--engine", ref)]
    found = rows(*engines, *said, "--data", camvid, capsys=capsys)
    assert [row["miou"] for row in found] == [pytest.approx(ROAD_IOU / 2)] * 3
    assert [row["differing"] for row in found] == [None, 0.0, 0.0]
    assert [row["assumed"] for row in found] == [[], [], []]
    assert [*found[1]["iou"]] == CAMVID_NAMES


def test_what_was_assumed_is_in_the_row_and_logged(
    write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = write_engine("scores.onnx", 3, sides=(1, 32, 48))
    assert main(["--engine", str(engine), "--json", "-", *QUICK]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)["rows"]
    assert row["assumed"] == [
        "class names, from their number, 11",
        "input contract camvid-official, from its 11 classes",
    ]
    assert "scores.onnx, assumed: class names" in captured.err


def test_scores_smaller_than_the_input_are_enlarged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = smaller(tmp_path / "a.onnx", 2)
    (row,) = rows("--engine", engine, "--contract", "cityscapes-mmseg", capsys=capsys)
    assert row["assumed"] == [
        "scores smaller than the input are enlarged bilinearly",
        "class names, from their number, 5",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "doesn't say how many classes it has: give --names FILE, or --contract"),
        (("--names", "five.txt"), "no input contract is known for 5 classes; choose one with --contract"),
        (("--names", "none.txt"), "none.txt can't be read: No such file"),
        (("--contract", "camvid"), "unknown contract 'camvid'; wanted one of camvid-official"),
        (("--names", "eleven.txt", "--res", "64x48"), "takes N=1 H=32 W=48, not H=64 W=48"),
        (
            ("--names", "five.txt", "--contract", "camvid-official", "--data", "camvid"),
            "CamVid has 11 classes, the network has 5",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(
    words: tuple[str, ...],
    message: str,
    write_engine: WriteEngine,
    camvid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names(Path("five.txt"), CAMVID_NAMES[:5])
    names(Path("eleven.txt"))
    engine = to_labels(Path("labels.onnx"), write_engine("scores.onnx", 3, sides=(1, 32, 48)), sides=(1, 32, 48))
    assert main(["--engine", str(engine), *words, *QUICK]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("cgnet-bench: error: ")
    assert message in last


def test_a_wrong_number_of_names_is_one_line(
    write_engine: WriteEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, few = write_engine("scores.onnx", 3, sides=(1, 32, 48)), names(tmp_path / "few.txt", CAMVID_NAMES[:5])
    assert main(["--engine", str(engine), "--names", str(few), *QUICK]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"--names has 5 classes, {engine} gives scores of 11")


def test_a_size_that_nothing_says_is_one_line(write_engine: WriteEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = write_engine("scores.onnx", 3, classes=5)
    said = ("--engine", engine, "--mean", "0,0,0", "--std", "1,1,1", "--color", "bgr")
    assert main([*map(str, said), *QUICK]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("takes any size and nothing says which: give --res HxW")
    (row,) = rows(*said, "--res", "32x64", "--batch", "2", capsys=capsys)
    assert (row["res"], row["batch"]) == ([32, 64], 2)


def test_a_plan_of_trtexec_without_trust_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan := tmp_path / "theirs.engine").write_bytes(b"ftrt" + bytes(100))
    assert main(["--engine", str(plan), *QUICK]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no sidecar theirs.engine.json" in line
    assert line.endswith("or say --trust if you built it yourself")


def test_a_label_that_is_no_class_is_one_line(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = write_engine("scores.onnx", 11, classes=12, sides=(1, 32, 48))
    labels = to_labels(tmp_path / "labels.onnx", scores)
    said = ("--contract", "camvid-official", "--data", str(camvid))
    assert main(["--engine", str(labels), *said, *QUICK]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("the prediction holds label 11; wanted 0 to 10")


@pytest.mark.shared
def test_the_exporters_graph_beside_the_checkpoint(shared: Path, tmp_path: Path) -> None:
    """Its labels and mIoU, by engines without the rounds that time them, which take minutes at this size."""
    scores = shutil.copy(shared / "peers" / "exporter_graph_camvid_360x480.onnx", tmp_path / "scores.onnx")
    labels = to_labels(tmp_path / "labels.onnx", Path(scores), sides=(1, 1, 360, 480))
    frame = open_dataset(str(shared / "camvid"), "val").frame(0)
    mious: list[float] = []
    labelled: list[U8] = []
    for ref in (shared / "checkpoints" / "cgnet_camvid_official.pth", scores, labels):
        with open_engine(ref, contract="camvid-official", threads=1) as engine:
            mious.append(evaluate(engine, str(shared / "camvid"), limit=4).miou)
            labelled.append(engine.infer(frame[None]))
    first, *others = mious
    assert first > 0.7
    # Near ties fall either way in another runtime: fewer than one label in 10,000 may differ, and move the mIoU.
    assert others == [pytest.approx(first, abs=1e-4)] * 2
    assert max((labelled[0] != other).mean() for other in labelled[1:]) < 1e-4
