"""What cgnet-bench refuses, each on one line: before any work where that shows it, and never over an earlier result."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.artifact import write_artifact
from cgnet_deploy.bench.cli import main
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.spec import Precision
from tests.bench.conftest import QUICK, WriteEngine
from tests.data.trees import camvid_tree, spoil

BAD_USAGE = [
    (["--jsonl", "-"], "--jsonl -: wanted a regular file"),
    (["--jsonl", "/dev/null"], "--jsonl /dev/null: wanted a regular file"),
    (["--jsonl", "missing/rows.jsonl"], "can't be written"),
    (["--res", "0x0"], "out of range"),
    (["--res", "1x1"], "out of range"),
    (["--res", "1024"], "not HEIGHTxWIDTH"),
    (["--res", "axb"], "not HEIGHTxWIDTH"),
    (["--res", "100000x100000"], "out of range"),
    (["--batch", "0"], "must be an integer between 1 and "),
    (["--batch", "3..1"], "goes down"),
    (["--batch", "1..9999"], "must be an integer between 1 and "),
    (["--shapes", "1x3x32x48"], "NAME:NxHxWx3"),
    (["--shapes", "x:1x3x32x48", "--batch", "2"], "leave it, or them, out"),
    (["--ms-flip"], "--ms-flip needs --data"),
    (["--threads", "-1"], "must be an integer between 1 and "),
    (["--duration", "nan"], "must be a number between 0"),
    (["--engin", "x.onnx"], "did you mean --engine?"),
    (["--resolution", "32x32"], "--resolution is not an option"),
    (["--boundary", "gpu"], "device"),
    (["--boundary", "paced"], "--fps"),
    (["--fps", "30"], "--boundary paced"),
    (["--split", "val"], "--split needs --data"),
    (["--limit", "3"], "--limit needs --data"),
    (["--fail-under-miou", "0.5"], "--fail-under-miou needs --data"),
    (["--data", "scenes", "--fail-under-miou", "65"], "must be a number between 0 and 1"),
    (["--json", "-", "--csv", "-"], "stdout"),
    (["--baseline", "missing.json"], "missing.json can't be read"),
    (["--outlines"], "--outlines needs --data"),
    (["--json", "missing/folder/r.json"], "can't be written"),
    (["--data", "nowhere"], "nowhere does not exist"),
    (["--data", "scenes", "--split", "night"], "no split 'night'"),
]


@pytest.mark.parametrize(("flags", "words"), BAD_USAGE, ids=[" ".join(flags) for flags, _ in BAD_USAGE])
def test_bad_usage_is_one_line_before_any_work(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--engine", "a.onnx", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("cgnet-bench: error: ")
    assert words in line
    assert not list(tmp_path.iterdir())


def test_no_engine_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--engine" in capsys.readouterr().err


def fails(argv: list[str], code: int, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The command ends with `code` and one line, and leaves an earlier result alone."""
    result = tmp_path / "earlier.json"
    result.write_text("an earlier result")
    assert main([*argv, "--json", str(result), *QUICK]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = (line for line in captured.err.splitlines() if "error" in line)
    assert line.startswith("cgnet-bench: error: ")
    assert words in line
    assert "Traceback" not in captured.err
    assert result.read_text() == "an earlier result"


def test_a_missing_engine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fails(["--engine", "missing.onnx"], 2, "missing.onnx does not exist", tmp_path, capfd)


def test_a_second_engine_that_is_missing(
    write_engine: WriteEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0))
    fails(["--engine", engine, "--engine", "missing.onnx"], 2, "missing.onnx", tmp_path, capfd)


def test_a_suffix_that_no_backend_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fails(["--engine", "model.onx"], 2, "did you mean .onnx?", tmp_path, capfd)


def test_an_engine_of_another_size(
    write_engine: WriteEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 32, 48)))
    fails(["--engine", engine, "--res", "64x48"], 2, "H=32 W=48", tmp_path, capfd)


def test_engines_of_different_sizes_are_not_compared(
    write_engine: WriteEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small, large = write_engine("s.onnx", 0, sides=(1, 32, 48)), write_engine("l.onnx", 0, sides=(1, 64, 96))
    fails(["--engine", str(small), "--engine", str(large)], 2, "takes 32x48", tmp_path, capfd)


def test_another_class_count_than_the_data(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0, classes=19, sides=(1, 40, 48)))
    fails(["--engine", engine, "--data", str(camvid)], 2, "CamVid has 11 classes, the network has 19", tmp_path, capfd)


def test_a_label_out_of_range(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 40, 48)))
    cv2.imwrite(str(camvid / "valannot" / "1.png"), np.full((40, 48), 200, np.uint8))
    fails(["--engine", engine, "--data", str(camvid)], 2, "label 200", tmp_path, capfd)


def test_an_image_that_is_none(
    write_engine: WriteEngine, camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 40, 48)))
    (camvid / "val" / "1.png").write_bytes(b"not an image")
    fails(["--engine", engine, "--data", str(camvid)], 2, "1.png is not a PNG", tmp_path, capfd)


def test_the_device_boundary_without_a_gpu(
    write_engine: WriteEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = str(write_engine("a.onnx", 0, sides=(1, 40, 48)))
    fails(["--engine", engine, "--boundary", "device"], 5, "not device", tmp_path, capfd)


def test_a_plan_without_a_gpu(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU here")
    plan = tmp_path / "cgnet.plan"
    write_artifact(
        plan,
        b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]),
        kind="plan",
        precision=Precision.F16,
        spec=model_spec("camvid-official", 11, (3, 21)),
        io="frames",
        shape=(1, 360, 480),
        parent_sha256="0" * 64,
        made_with={"tensorrt_rtx": "1.7.1.116", "architecture": "portable"},
    )
    fails(["--engine", str(plan), "--res", "360x480"], 5, "cgnet.plan can't run here: no NVIDIA GPU", tmp_path, capfd)


@pytest.mark.parametrize(
    ("fault", "says"),
    [(11, "nothing can be scored"), (42, "holds the label 42"), ("cut", "val2.png"), ("noise", "val2.png")],
)
def test_data_is_checked_before_anything_is_timed(
    fault: int | str, says: str, write_engine: WriteEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All ignored, or no class or picture in the last one only: none is found after minutes of rounds."""
    camvid_tree(tmp_path / "data")
    if isinstance(fault, int):
        for path in sorted((tmp_path / "data" / "valannot").iterdir())[-1 if fault == 42 else 0 :]:
            cv2.imwrite(str(path), np.full((48, 64), fault, np.uint8))
    else:
        spoil(tmp_path / "data" / "val" / "val2.png", fault)
    engine = write_engine("a.onnx", 0, sides=(1, 48, 64))
    assert main(["--engine", str(engine), "--data", str(tmp_path / "data"), "--duration", "600"]) == 2
    assert says in capsys.readouterr().err
