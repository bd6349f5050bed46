from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import ArtifactError, FrameError, UsageError
from cgnet_deploy.spec import Res
from tests.engines.graphs import DYNAMIC, FIXED, drawn_frames, logits_of, model, tensor, written

ncnn = pytest.importorskip("ncnn")
pytest.importorskip("pnnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ncnn") / "tiny.onnx", "tensor", FIXED).path


def test_gives_the_network_s_labels_and_logits(path: Path) -> None:
    frames, others = drawn_frames(1, 40, 56), drawn_frames(1, 40, 56, seed=5)
    wanted = logits_of(frames)
    with open_engine(f"ncnn:{path}", threads=1) as engine:
        np.testing.assert_array_equal(engine.infer(frames), wanted.argmax(1))
        logits = engine.logits(frames)
        engine.infer(others)
        np.testing.assert_array_equal(logits, wanted)  # small whole numbers: exact in f32, and no memory of ncnn's
        assert (engine.info.backend, engine.info.provider) == ("ncnn", "CPU f32")


def test_an_open_file_runs_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    open_file = written(tmp_path / "open.onnx", "tensor", DYNAMIC).path
    frames = drawn_frames(1, 24, 32)
    with open_engine(f"ncnn:{open_file}", res=Res(24, 32), batch=1, threads=1) as engine:
        np.testing.assert_array_equal(engine.infer(frames), logits_of(frames).argmax(1))
        with pytest.raises(FrameError, match="takes 1x24x32"):
            engine.infer(drawn_frames(1, 40, 56))
    with pytest.raises(UsageError, match="one image of a fixed size"):
        open_engine(f"ncnn:{open_file}")


def test_refuses_frames_in_the_graph(frames_onnx: Path) -> None:
    with pytest.raises(UsageError, match="export it with --tensor-io"):
        open_engine(f"ncnn:{frames_onnx}", batch=1)


def test_what_can_not_be_converted_is_one_line(tmp_path: Path) -> None:
    from onnx import helper

    path = tmp_path / "odd.onnx"
    node = helper.make_node("Odd", ["planes"], ["logits"], domain="nowhere")
    odd = model([node], [tensor("planes", "FLOAT", 1, 3, 40, 56)], [tensor("logits", "FLOAT", 1, 11, 40, 56)], {})
    odd.opset_import.append(helper.make_opsetid("nowhere", 1))
    path.write_bytes(odd.SerializeToString())
    with pytest.raises(ArtifactError, match=r"odd\.onnx") as caught:
        with open_engine(f"ncnn:{path}") as engine:
            engine.infer(drawn_frames(1, 40, 56))
    assert "\n" not in str(caught.value)
