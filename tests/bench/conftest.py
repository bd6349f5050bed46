"""Engines and data that are small enough to measure in a moment, and whose mIoU is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WriteEngine = Callable[..., Path]
QUICK = ("--warmup", "0", "--duration", "0", "--iterations", "20", "--threads", "1")  # of cgnet-bench


@pytest.fixture
def write_engine(tmp_path: Path) -> WriteEngine:
    """Write an ONNX file that gives every pixel one label: logits = a 1x1 convolution whose bias favours it."""

    def write(name: str, label: int, *, classes: int = 11, sides: tuple[int | str, ...] = ("n", "h", "w")) -> Path:
        bias = np.zeros(classes, np.float32)
        bias[label] = 1.0
        n, h, w = sides
        graph = helper.make_graph(
            [helper.make_node("Conv", ["frames", "weight", "bias"], ["logits"])],
            "constant",
            [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [n, 3, h, w])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [n, classes, h, w])],
            [
                numpy_helper.from_array(np.zeros((classes, 3, 1, 1), np.float32), "weight"),
                numpy_helper.from_array(bias, "bias"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path := tmp_path / name)
        return path

    return write


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Three frames of 40x48 in CamVid's layout. Truth: two thirds of each is Road (3), the rest Sky (0), a row void."""
    for folder in ("val", "valannot"):
        (tmp_path / "camvid" / folder).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for i in range(3):
        cv2.imwrite(str(tmp_path / "camvid" / "val" / f"{i}.png"), rng.integers(0, 256, (40, 48, 3), np.uint8))
        truth = np.full((40, 48), 3, np.uint8)
        truth[:13] = 0
        truth[39] = 11
        cv2.imwrite(str(tmp_path / "camvid" / "valannot" / f"{i}.png"), truth)
    return tmp_path / "camvid"
