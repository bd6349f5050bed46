"""What is OpenCV's own: labels of the type that its version gives. The contract is in test_contract.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.opencv import OpencvEngine
from tests.engines.graphs import FIXED, drawn_frames, logits_of, written


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_gives_the_networks_labels_by_the_prefix(tmp_path: Path, io: str) -> None:
    path = written(tmp_path / "tiny.onnx", "frames" if io == "frames" else "tensor", FIXED).path
    frames = drawn_frames(1, 40, 56)
    with open_engine(f"opencv:{path}", threads=1) as engine:
        np.testing.assert_array_equal(engine.infer(frames), logits_of(frames).argmax(1))
        assert (engine.info.backend, engine.info.provider) == ("opencv", "CPU")


def test_labels_that_opencv_gives_as_floats_are_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "tiny.onnx", "frames", FIXED).path
    frames = drawn_frames(1, 40, 56)
    with open_engine(f"opencv:{path}") as engine:
        assert isinstance(engine, OpencvEngine)
        labels = engine.infer(frames)
        engine.enqueue()
        monkeypatch.setattr(engine, "_result", engine._result.astype(np.float32))  # as OpenCV 4 does
        np.testing.assert_array_equal(engine.fetch(), labels)
