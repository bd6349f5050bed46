"""The client of docs/embedding.md, on a stand-in for Triton Inference Server; test_docs.py runs the other blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.spec import Res
from tests.pages import ROOT, blocks

RES = Res(64, 96)
PAGE = ROOT / "docs" / "embedding.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the guide's reader has: an exported network, and a picture of its size."""
    checkpoint = ROOT / "cgnet_deploy" / "weights" / "scenes.pth"
    assert (
        export_main(
            ["--ckpt", str(checkpoint), "--res", str(RES), "--no-engine", "--onnx", str(tmp_path / "cgnet.onnx")]
        )
        == 0
    )
    cv2.imwrite(str(tmp_path / "frame.png"), open_dataset(f"scenes:0:{RES}", "val").frame(0))
    return tmp_path


def test_the_client_gets_the_engine_s_labels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    (block,) = (block.text for block in blocks(PAGE) if block.mark == "server")

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
