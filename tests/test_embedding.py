"""docs/embedding.md is executed: its Python and its commands on a real checkpoint, its client on a stand-in server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.spec import Res
from tests.video.clips import clip

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+) ?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RES = Res(64, 96)


def blocks(language: str, mark: str) -> list[str]:
    found = BLOCK.findall((ROOT / "docs" / "embedding.md").read_text(encoding="utf-8"))
    return [text for its, why, text in found if (its, why) == (language, mark)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide's reader has: an exported network, and a video of another size."""
    home = tmp_path_factory.mktemp("embedding")
    shutil.copy(ROOT / "cgnet_deploy" / "weights" / "scenes.pth", home / "model.pth")
    flags = ["--ckpt", str(home / "model.pth"), "--res", str(RES), "--no-engine", "--onnx", str(home / "cgnet.onnx")]
    assert export_main(flags) == 0
    scenes = open_dataset("scenes:0:90x128", "val")
    clip(home / "drive.mp4", [scenes.frame(i) for i in range(3)], codec="libx264", format="mp4")
    cv2.imwrite(str(home / "frame.png"), open_dataset(f"scenes:0:{RES}", "val").frame(0))
    return home


def run(folder: Path, *command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_ten_lines_of_python(folder: Path) -> None:
    (block,) = blocks("python", "")
    body = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(body) <= 10
    run(folder, sys.executable, "-c", block)
    shown = cv2.imread(str(folder / "overlay.png"))
    assert shown is not None
    assert shown.shape == (90, 128, 3)


def test_the_command(folder: Path) -> None:
    (block,) = blocks("console", "")
    run(folder, sys.executable, "-m", "cgnet_deploy.video.cli", *block.removeprefix("$ cgnet-video").split())
    assert len(list((folder / "masks").iterdir())) == 3


def test_the_client_gets_the_engine_s_labels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    (block,) = blocks("python", "server")

    class Result:
        def __init__(self, labels: Any) -> None:
            self.labels = labels

        def as_numpy(self, name: str) -> Any:
            assert name == "labels"
            return self.labels

    def infer(client: object, model: str, inputs: list[Any]) -> Result:
        (given,) = inputs
        assert (model, given.name(), given.datatype()) == ("cgnet_onnxruntime", "frames", "UINT8")
        frames = np.frombuffer(given._get_content(), np.uint8).reshape(given.shape())
        with open_engine("cgnet.onnx") as engine:
            return Result(engine.infer(frames))

    monkeypatch.setattr(triton.InferenceServerClient, "infer", infer)
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(block, found)
    with open_engine("cgnet.onnx") as engine:
        np.testing.assert_array_equal(found["labels"], engine.infer(found["frame"][None])[0])
