from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import UsageError
from tests.engines.graphs import FIXED, drawn_frames, logits_of, written

ncnn = pytest.importorskip("ncnn")
pytest.importorskip("pnnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ncnn") / "tiny.onnx", "tensor", FIXED).path


def test_gives_the_networks_labels_and_logits(path: Path) -> None:
    frames, others = drawn_frames(1, 40, 56), drawn_frames(1, 40, 56, seed=5)
    wanted = logits_of(frames)
    with open_engine(f"ncnn:{path}", threads=1) as engine:
        np.testing.assert_array_equal(engine.infer(frames), wanted.argmax(1))
        logits = engine.logits(frames)
        engine.infer(others)
        np.testing.assert_array_equal(logits, wanted)  # small integers: exact in f32, and no memory of ncnn's
        assert (engine.info.backend, engine.info.provider) == ("ncnn", "CPU f32")


def test_a_file_of_more_than_one_image_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "two.onnx", "tensor", (2, 40, 56)).path
    with pytest.raises(
        UsageError, match=r"two\.onnx takes tensors, N=2 H=40 W=56, and gives logits: export it .* without --batch"
    ):
        open_engine(f"ncnn:{path}")
