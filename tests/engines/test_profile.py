"""Every runtime's layers, recognised by the names that the exporter gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.bench.report.blocks import block_of, by_block
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.base import WARM_RUNS, Layer, mean_of_last
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.export.cli import main as export
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames
from tests.networks import drawn

BLOCKS = {"stem", "pools", "join1", "stage2.0", "stage2.1", "join2", "stage3.0", "stage3.1", "join3", "classifier"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("profile")
    checkpoint, graph = folder / "tiny.pth", folder / "tiny.onnx"
    save_checkpoint(checkpoint, drawn(11), model_spec("camvid-official", 11, (2, 2)), {})
    assert export(["--ckpt", str(checkpoint), "--res", "64x96", "--no-engine", "--onnx", str(graph)]) == 0
    return {"torch": checkpoint, "ort": graph, "openvino": graph}


@pytest.mark.parametrize("backend", ["torch", "ort", "openvino"])
def test_every_block_of_the_network_is_found(backend: str, files: dict[str, Path]) -> None:
    pytest.importorskip({"ort": "onnxruntime"}.get(backend, backend))
    engine = open_engine(f"{backend}:{files[backend]}", res=Res(64, 96), batch=1, threads=1, profile=True)
    layers = engine.profile(drawn_frames(1, 64, 96), 3)
    blocks = by_block(layers)
    assert set(blocks) >= BLOCKS
    assert all(layer.mean_ns > 0 for layer in layers if layer.kind in ("Conv", "Convolution", "conv"))
    convolutions = [layer for layer in layers if layer.kind in ("Conv", "Convolution", "GroupConvolution", "conv")]
    assert not [layer.name for layer in convolutions if block_of(layer) == "other"]
    if backend != "torch":
        assert {"pixels", "resize", "argmax"} <= set(blocks)


@pytest.mark.parametrize("ref", ["ort", "openvino", "torch-compile"])
def test_an_engine_that_cannot_time_its_layers_says_so(ref: str, files: dict[str, Path]) -> None:
    pytest.importorskip({"ort": "onnxruntime", "torch-compile": "torch"}.get(ref, ref))
    engine = open_engine(f"{ref}:{files[ref.partition('-')[0]]}", res=Res(64, 96), batch=1, threads=1)
    with pytest.raises(EngineUnavailable):
        engine.profile(drawn_frames(1, 64, 96), 3)


def test_warm_runs_do_not_count_and_layers_of_one_name_are_one() -> None:
    def run(ns: float) -> list[tuple[str, str, float]]:
        return [("a", "Conv", ns), ("b", "Add", 10 * ns), ("a", "Conv", 100 * ns)]

    timed = [layer for ns in [7.0] * WARM_RUNS + [1.0, 3.0] for layer in run(ns)]
    assert mean_of_last(2, timed) == (Layer("a", "Conv", 202), Layer("b", "Add", 20))
    assert mean_of_last(2, []) == ()
