"""What is too small to change anything becomes 0, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.export.api import export
from cgnet_deploy.export.tiny import drop_tiny
from cgnet_deploy.export.trace import trace
from cgnet_deploy.model import TINY, flushed_denormals, without_tiny
from cgnet_deploy.spec import Res
from tests.networks import drawn

DENORMAL = 713_624  # the bits of 1e-39, which is 0 where denormals are flushed


def test_tiny_weights_become_zero_and_the_others_stay() -> None:
    model = drawn(5, blocks=(2, 2))
    first = model.state_dict()["stem.0.conv.weight"]
    first.view(torch.int32)[3] = DENORMAL
    first[4], first[5] = -TINY / 2, TINY * 2
    graph = trace(model, Res(64, 64), batch=1, dynamic="none")
    with flushed_denormals():
        assert drop_tiny(graph) == 2 * 27
    assert drop_tiny(graph) == 0
    (kernel,) = (
        value.const_value.numpy()
        for value in graph.graph.initializers.values()
        if value.const_value is not None and value.const_value.shape == (32, 3, 3, 3)
    )
    wanted = first.numpy().copy()
    wanted[3:5] = 0
    assert np.array_equal(kernel.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.shared
@pytest.mark.parametrize("target", ["generic", "ort-cpu", "openvino"])
def test_no_file_of_the_official_weights_holds_a_denormal(shared: Path, tmp_path: Path, target: str) -> None:
    """256,386 of its weights are denormal: ONNX Runtime takes five times as long with them on an Intel CPU."""
    path = tmp_path / "cgnet.onnx"
    export(shared / "checkpoints" / "cgnet_camvid_official.pth", path, res="64x64", target=target)  # type: ignore[arg-type]
    held = [numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    weights = np.concatenate([array.ravel() for array in held if array.dtype == np.float32])
    assert weights.size > 100_000
    assert not ((weights.view(np.uint32) << 1 != 0) & (np.abs(weights) < TINY)).any()


@pytest.mark.shared
def test_the_official_weights_give_the_same_scores_to_the_bit_without_tiny_ones(shared: Path) -> None:
    model = load_checkpoint(shared / "checkpoints" / "cgnet_camvid_official.pth").model
    kept = without_tiny(model)
    pairs = zip(model.parameters(), kept.parameters(), strict=True)
    # By their bits: where a runtime has left denormals flushed in this thread, one equals 0.
    assert sum(int((a.view(torch.int32) != b.view(torch.int32)).sum()) for a, b in pairs) > 200_000
    with torch.inference_mode():
        frame = torch.randn(1, 3, 97, 131, generator=torch.Generator().manual_seed(0)).mul(60)
        assert torch.equal(model(frame), kept(frame))


def test_denormals_are_flushed_within_and_not_beyond() -> None:
    def product() -> float:
        return float(torch.full((8,), 1e-30).mul(1e-9).abs().max())

    torch.set_flush_denormal(False)  # whatever a runtime left here
    assert product() > 0
    with flushed_denormals():
        assert product() == 0
        with flushed_denormals():
            pass
        assert product() == 0
    assert product() > 0
