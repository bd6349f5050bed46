"""A checkpoint of five classes of somebody's own: their names, colours and input contract reach every file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cgnet_deploy.artifact import read_artifact, sidecar_path
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.tritonserver import write_repository
from cgnet_deploy.pixels import overlay
from tests.checkpoint.mmseg import ALL_FORMS, INPUT, NAMES, PALETTE, mmseg_file
from tests.engines.graphs import drawn_frames
from tests.export.networks import trained

MODEL = trained(5, bias=True)
FRAMES = drawn_frames(1, *INPUT.res)


@pytest.fixture
def ckpt(workplace: Path) -> Path:
    (path := workplace / "mine.pth").write_bytes(mmseg_file(MODEL, ALL_FORMS["1.x"]))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("meta", ALL_FORMS.values(), ids=ALL_FORMS)
def test_the_onnx_file_says_what_meta_says_with_no_flag_but_ckpt(workplace: Path, meta: dict[str, Any]) -> None:
    (workplace / "mine.pth").write_bytes(mmseg_file(MODEL, meta))
    assert main(["--ckpt", "mine.pth", "--no-engine"]) == 0
    sidecar_path(workplace / "cgnet.onnx").unlink()
    artifact = read_artifact(workplace / "cgnet.onnx")
    assert (artifact.spec.class_names, artifact.spec.input, artifact.spec.ignore_label) == (NAMES, INPUT, 255)
    assert [list(colour) for colour in artifact.spec.palette] == PALETTE
    assert artifact.shape == (1, *INPUT.res)
    entries = {entry.key: entry.value for entry in onnx.load(workplace / "cgnet.onnx").metadata_props}
    assert entries["names"] == "0 road, 1 kerb, low, 2 traffic light, 3 Fußgänger, 4 other"
    assert entries["mean"] == "101.25, 99.5, 88.75"


def test_every_file_of_an_export_has_it(ckpt: Path, workplace: Path) -> None:
    flags = ["--int8", "--calib-data", "scenes", "--calib-images", "8", "--triton", "triton", "--deepstream", "ds"]
    pytest.importorskip("tensorrt_rtx")
    assert main(["--ckpt", str(ckpt), *flags, "--builder", "rtx"]) == 0
    models = list(workplace.rglob("*.onnx"))
    assert len(models) == 4  # the export's, Triton's two, DeepStream's
    for path in models:
        spec = read_artifact(path).spec
        assert (spec.class_names, spec.input) == (NAMES, INPUT if path.parent.name != "ds" else spec.input)
    assert read_artifact(workplace / "cgnet.plan").spec == read_artifact(workplace / "cgnet.onnx").spec
    for labels in workplace.rglob("labels.txt"):
        assert tuple(labels.read_text(encoding="utf-8").splitlines()) == NAMES


@pytest.mark.parametrize("flags", [(), ("--tensor-io", "--dynamic", "both")], ids=["frames", "open tensor"])
def test_moved_without_its_sidecar_it_gives_the_same(ckpt: Path, workplace: Path, flags: tuple[str, ...]) -> None:
    assert main(["--ckpt", str(ckpt), "--no-engine", *flags]) == 0
    (moved := workplace / "elsewhere" / "other.onnx").parent.mkdir()
    shutil.copy(workplace / "cgnet.onnx", moved)
    for prefix in ("ort:", "openvino:"):
        if prefix == "openvino:":
            pytest.importorskip("openvino")
        refs = (f"{prefix}{workplace / 'cgnet.onnx'}", f"{prefix}{moved}")
        with open_engine(refs[0], res=INPUT.res) as one, open_engine(refs[1], res=INPUT.res) as other:
            assert one.info == other.info
            labels = one.infer(FRAMES)
            np.testing.assert_array_equal(labels, other.infer(FRAMES))
            shown = overlay(FRAMES[0], labels[0], other.info.spec, 1.0)
            np.testing.assert_array_equal(shown, np.asarray(PALETTE, np.uint8)[labels[0]][..., ::-1])
    for name, path in (("a", workplace / "cgnet.onnx"), ("b", moved)):
        write_repository(workplace / name, read_artifact(path), None, batch=1, res=INPUT.res)
    assert files(workplace / "a") == files(workplace / "b")
    assert files(workplace / "a")


def test_names_mean_std_and_colour_from_flags(workplace: Path) -> None:
    (workplace / "mine.pth").write_bytes(mmseg_file(MODEL, {}))
    (workplace / "names.txt").write_text("a\nb\nc 1,2,3\nd\ne\n", encoding="utf-8")
    flags = ["--mean", "1,2,3", "--std", "4,5,6", "--color", "bgr", "--res", "64x96", "--no-engine"]
    assert main(["--ckpt", "mine.pth", *flags, "--names", "names.txt"]) == 0
    spec = read_artifact(workplace / "cgnet.onnx").spec
    assert (spec.class_names, spec.palette[2]) == (tuple("abcde"), (1, 2, 3))
    assert (spec.input.mean, spec.input.std, spec.input.color) == ((1, 2, 3), (4, 5, 6), "bgr")
    assert main(["--ckpt", "mine.pth", *flags]) == 0
    assert read_artifact(workplace / "cgnet.onnx").spec.class_names[4] == "class 4"


def test_an_engine_of_the_checkpoint_itself_takes_what_the_file_does_not_say(workplace: Path) -> None:
    (workplace / "mine.pth").write_bytes(mmseg_file(MODEL, {}))
    (workplace / "names.txt").write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no input contract is known for 5 classes"):
        open_engine("mine.pth")
    said: dict[str, Any] = {"mean": INPUT.mean, "std": INPUT.std, "color": INPUT.color}
    with open_engine("mine.pth", names="names.txt", **said, res=INPUT.res) as engine:
        assert (engine.info.spec.class_names, engine.info.spec.input) == (tuple("abcde"), INPUT)
    (workplace / "mine.pth").write_bytes(mmseg_file(MODEL, ALL_FORMS["0.x"]))
    with open_engine("mine.pth", names="names.txt", mean=(9.0, 9.0, 9.0)) as engine:  # those are for other files
        assert (engine.info.spec.class_names, engine.info.spec.input) == (NAMES, INPUT)


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({}, "no input contract is known for 5 classes"),
        ({"cfg": "x = __import__('os').system('touch here')\n" + "[" * 1_000_000}, "longer than 131072 characters"),
        ({"cfg": "img_norm_cfg = __import__('os').system('touch here')"}, "give --mean, --std, --color"),
    ],
)
def test_what_nothing_says_is_asked_for_in_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], meta: dict[str, str], reason: str
) -> None:
    (workplace / "mine.pth").write_bytes(mmseg_file(MODEL, meta))
    assert main(["--ckpt", "mine.pth"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert [path.name for path in workplace.iterdir()] == ["mine.pth"]
