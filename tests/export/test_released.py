"""The user's first command on the released weights, whole: CamVid's size, f16, a plan without a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.export.cli import main
from cgnet_deploy.files import sha256_of
from cgnet_deploy.spec import Precision
from tests.export.test_cli import OUTPUTS

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorrt_rtx")
    folder = tmp_path_factory.mktemp("export")
    checkpoint = shared / "checkpoints/cgnet_camvid_official.pth"
    with pytest.MonkeyPatch.context() as patch, (folder / "stdout").open("w") as stdout:
        patch.chdir(folder)
        patch.setattr(sys, "stdout", stdout)
        flags = ["--fp16", "--res", "360x480", "--builder", "rtx", "--data", str(shared / "camvid")]
        assert main(["--ckpt", str(checkpoint), *flags, "--json", "report.json"]) == 0
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


def test_writes_both_files_and_their_sidecars_and_nothing_else(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {*OUTPUTS, "report.json", "stdout"}


def test_each_file_names_its_parent(run: Path, shared: Path) -> None:
    onnx, plan = read_artifact(run / "cgnet.onnx"), read_artifact(run / "cgnet.plan")
    assert onnx.parent_sha256 == sha256_of(shared / "checkpoints/cgnet_camvid_official.pth")
    assert plan.parent_sha256 == onnx.sha256
    for artifact in (onnx, plan):
        assert (artifact.precision, artifact.io, artifact.shape) == (Precision.F16, "frames", (1, 360, 480))


def test_every_convolution_of_the_parsed_network_takes_half(report: dict[str, Any]) -> None:
    assert report["convolutions"] == {"half": report["fusion"]["ops_after"]["Conv"]}


def test_every_norm_is_folded(report: dict[str, Any]) -> None:
    fired = report["fusion"]["fired"]
    assert [fired[f"batchnorm-{where}"] for where in ("conv", "depthwise", "join")] == [27, 24, 3]
    assert report["fusion"]["ops_before"]["BatchNormalization"] == 54
    assert "BatchNormalization" not in report["fusion"]["ops_after"]


def test_gates_that_the_weights_prove_constant_are_gone(report: dict[str, Any]) -> None:
    assert report["fusion"]["fired"]["gate-constant"] == 24
    assert "Sigmoid" not in report["fusion"]["ops_after"]


def test_labels_agree_with_pytorch_s(report: dict[str, Any]) -> None:
    assert report["verify"]["images"] == 4
    assert report["verify"]["argmax_agreement"] > 0.999  # real frames, and weights trained on them


def test_the_result_is_on_stdout_one_line_a_file(run: Path) -> None:
    lines = (run / "stdout").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["cgnet.onnx", "cgnet.plan"]
    assert "f16, H=360 W=480, batch 1" in lines[0]
    assert " half; " in lines[1]
