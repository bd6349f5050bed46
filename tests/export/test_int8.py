"""`cgnet-export --int8` as it is typed: the file, its ranges, the guard, and frames that can't be calibrated on."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.export import lower
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.quantize import Storage, quantize
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res
from tests.data.trees import spoil
from tests.export.networks import Character, save, trained

RES = Res(64, 96)
KEPT = ("--calib-cache", "ranges.json")  # of the export that all tests share


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, what its export makes and prints, the ranges that it measured, and the same network in f32."""
    folder = tmp_path_factory.mktemp("exported")
    save(trained(11, character=Character(dead=0.2)), folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch, (folder / "stdout").open("w") as stdout:
        patch.chdir(folder)
        patch.setattr(sys, "stdout", stdout)
        assert export(*KEPT, "--json", "report.json") == 0
        assert main(["--ckpt", "model.safetensors", "--res", str(RES), "--no-engine", "--onnx", "f32.onnx"]) == 0
    return folder


@pytest.fixture
def folder(workplace: Path, exported: Path) -> Path:
    for name in ("model.safetensors", "ranges.json"):
        shutil.copy(exported / name, workplace)
    return workplace


def export(*flags: str, data: str = "scenes") -> int:
    frames = ["--calib-data", data, "--calib-images", "8"] if data else []
    fixed = ["--ckpt", "model.safetensors", "--res", str(RES), "--int8", "--no-engine"]
    return main([*fixed, *frames, *([] if "--min-speedup" in flags else ["--min-speedup", "0"]), *flags])


def test_writes_an_int8_file_that_says_so(exported: Path) -> None:
    found = json.loads((exported / "report.json").read_text())
    assert (found["precision"], found["kept_f32"]) == ("int8", [])
    int8 = found["int8"]
    assert isinstance(int8, dict)
    keys = {"convolutions", "macs_share", "activations", "raw_results", "trunk", "rest", "calibration"}
    assert set(int8) == keys
    assert len(int8["convolutions"]) == 2 + 2 * 2 + 2
    assert 0.9 < int8["macs_share"] < 0.98
    assert (int8["activations"], int8["rest"], int8["calibration"]["images"]) == ("s8", "f32", 8)
    artifact = read_artifact(exported / "cgnet.onnx")
    assert (artifact.precision, artifact.io, artifact.shape) == (Precision.INT8, "frames", (1, *RES))
    assert artifact.made_with["calibration"].startswith("mse, 8 frames ")
    assert "int8: 8 convolutions, 9" in (exported / "stdout").read_text()


def test_the_same_frames_give_the_same_file(folder: Path, exported: Path) -> None:
    assert export() == 0
    assert (folder / "cgnet.onnx").read_bytes() == (exported / "cgnet.onnx").read_bytes()


def test_ranges_are_kept_and_need_no_frames_again(folder: Path, exported: Path) -> None:
    assert export(*KEPT, data="") == 0
    assert (folder / "cgnet.onnx").read_bytes() == (exported / "cgnet.onnx").read_bytes()
    # ... and serve any choice of convolutions
    assert export(*KEPT, "--int8-scope", "all", data="") == 0
    assert (folder / "cgnet.onnx").read_bytes() != (exported / "cgnet.onnx").read_bytes()


def assert_refused(message: str, capsys: pytest.CaptureFixture[str], *flags: str, data: str = "scenes") -> None:
    capsys.readouterr()
    assert export(*flags, data=data) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("cgnet-export: error: ")
    assert message in error


def test_ranges_of_another_checkpoint_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(trained(11, seed=1), folder / "model.safetensors")
    assert_refused("is a calibration cache of another checkpoint", capsys, *KEPT, data="")


def test_ranges_of_other_frames_or_another_method_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused("of other frames", capsys, *KEPT, data="scenes:1:64x96")
    assert_refused("of another method", capsys, *KEPT, "--calib-method", "max", data="")
    assert_refused("of another form of the graph", capsys, *KEPT, "--without", "prelu-max", data="")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("stage9", "it matches no convolution's name; there are 8"), (".", "no convolution is left")],
)
def test_refuses_to_leave_out_nothing_or_everything(
    folder: Path, capsys: pytest.CaptureFixture[str], pattern: str, message: str
) -> None:
    assert_refused(message, capsys, *KEPT, "--exclude", pattern, data="")


def test_what_is_left_out_stays_in_higher_precision(folder: Path) -> None:
    assert export(*KEPT, "--exclude", "^stem", "--json", "report.json", data="") == 0
    int8 = json.loads((folder / "report.json").read_text())["int8"]
    assert [name for name in int8["convolutions"] if name.startswith("stem")] == []
    assert len(int8["convolutions"]) == 6


def pictures(folder: Path, count: int, make: Callable[[int], U8]) -> str:
    (folder / "pictures").mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"pictures/{i}.png"), make(i))
    return "pictures"


def noise(i: int, res: Res = RES) -> U8:
    return np.random.default_rng(i).integers(0, 256, (*res, 3), np.uint8)


def test_calibrates_on_a_folder_of_pictures(folder: Path) -> None:
    assert export(data=pictures(folder, 9, noise)) == 0


@pytest.mark.parametrize(
    ("count", "make", "message"),
    [
        (1, noise, "pictures has 1 frames; calibration wants 8 at least"),
        (8, lambda i: noise(i, Res(64, 98) if i == 3 else RES), "3.png is 64x98, the network takes 64x96"),
        (8, lambda i: np.full((*RES, 3), 9 * i, np.uint8), "0.png is of one colour"),
    ],
    ids=["one frame", "another size", "constant"],
)
def test_refuses_frames_that_show_no_ranges(
    folder: Path, capsys: pytest.CaptureFixture[str], count: int, make: Callable[[int], U8], message: str
) -> None:
    assert_refused(message, capsys, data=pictures(folder, count, make))
    assert not (folder / "cgnet.onnx").exists()


@pytest.mark.parametrize("fault", ["cut", "noise", "size"])
def test_the_last_frame_is_checked_before_the_network_is_traced(
    fault: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures(folder, 8, noise)
    if fault == "size":
        cv2.imwrite(str(folder / "pictures/7.png"), noise(7, Res(64, 98)))
    else:
        spoil(folder / "pictures/7.png", fault)
    monkeypatch.setattr("cgnet_deploy.export.pipeline.prepare", None)
    assert_refused("pictures/7.png ", capsys, data=data)


def test_refuses_ranges_that_are_no_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Activations that overflow f32 on calibration frames, and not on the frames that are verified on."""
    monkeypatch.setattr(
        "cgnet_deploy.export.calibration_data.to_tensor", lambda frames, spec: np.full((1, 3, *RES), 3e38, np.float32)
    )
    assert_refused("is NaN or infinite on a calibration frame", capsys)


@pytest.mark.parametrize("scope", ["most", "all"])
@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_runs(
    folder: Path,
    exported: Path,
    runtime: str,
    scope: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip({"ort": "onnxruntime", "openvino": "openvino"}[runtime])
    target = {"ort": "ort-cpu", "openvino": "openvino"}[runtime]
    assert export("--target", target, "--int8-scope", scope, "--calib-cache", str(exported / f"{target}.json")) == 0
    frames = open_dataset(f"scenes:0:{RES}", "val").frame(1)[None]  # of the kind that it was calibrated on
    monkeypatch.setattr("cgnet_deploy.engines.openvino.int8_saturates", lambda: scope == "all")
    caplog.clear()
    with (
        open_engine(f"{runtime}:cgnet.onnx", threads=1) as engine,
        open_engine(f"ort:{exported}/f32.onnx", threads=1) as f32,
    ):
        assert engine.info.precision is Precision.INT8
        agreement = np.mean(engine.infer(frames) == f32.infer(frames))
        if runtime == "openvino":
            assert engine.info.provider.startswith(f"CPU int8 {8 if scope == 'most' else 17} of ")
            assert engine.info.provider.endswith(", rest f32")
    assert ("OpenVINO's products of u8 and s8 saturate" in caplog.text) == (runtime == "openvino" and scope == "all")
    assert agreement > 0.7  # random weights


def test_a_file_without_int8_that_says_int8_is_refused(workplace: Path, exported: Path) -> None:
    pytest.importorskip("openvino")
    model = onnx.load(exported / "f32.onnx")
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"f32"', '"int8"')
    onnx.save(model, workplace / "cgnet.onnx")
    with pytest.raises(EngineUnavailable, match=r"no convolution of .* in int8"):
        open_engine("openvino:cgnet.onnx")


@pytest.mark.parametrize("target", ["generic", "ort-cpu", "openvino", "native"])
def test_a_contract_with_a_std_keeps_the_range_of_the_image(folder: Path, target: str) -> None:
    """Where the first convolution is in int8 too; frames are compared with tensors before the file is kept."""
    contract = ("--mean", "120,110,100", "--std", "50,60,70", "--color", "rgb")
    assert export("--target", target, "--int8-scope", "all", *contract) == 0


@pytest.mark.parametrize(("target", "rest"), [("generic", "float"), ("tensorrt", "half")])
@pytest.mark.parametrize("scope", ["most", "all"])
def test_builds_with_its_convolutions_in_int8(folder: Path, exported: Path, target: str, rest: str, scope: str) -> None:
    pytest.importorskip("tensorrt_rtx")
    assert export("--target", target, "--int8-scope", scope, "--calib-cache", str(exported / f"{target}.json")) == 0
    built = build_plan(folder / "cgnet.onnx", folder / "cgnet.plan", builder="rtx")
    assert built.artifact.precision is Precision.INT8
    # Of 18 of the network; two averages of the image are depthwise convolutions after fusing, and eight are in gates,
    # which stay in f32.
    network = {"int8": 8, rest: 12} if scope == "most" else {"int8": 18, rest: 2}
    assert Counter(dict(built.convolutions)) == Counter(network) + Counter(float=8)


def test_a_quantised_graph_with_a_pair_out_of_place_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair on a raw result, before its PReLU; no assert, which python -O would remove."""

    def spoilt(model: ir.Model, scales: dict[str, float], storage: Storage, **more: Any) -> None:
        quantize(model, scales, storage, results=scales)

    monkeypatch.setattr(lower, "quantize", spoilt)
    assert export(*KEPT, data="") == 3
    assert "the Q/DQ pairs of the quantised graph are wrong: " in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "cgnet.onnx").exists()
