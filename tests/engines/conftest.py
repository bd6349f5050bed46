"""Fixtures of the engines' tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.engines.build import BuiltPlan, build_plan
from cgnet_deploy.export.api import export
from cgnet_deploy.pixels import to_tensor
from tests.engines.graphs import CLASSES, DYNAMIC, FIXED, SPEC, drawn_frames, written
from tests.networks import drawn


@pytest.fixture(scope="session")
def drawn_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn network whose classifier's bias is set so that every class wins somewhere."""
    path = tmp_path_factory.mktemp("torch") / "tiny.pth"
    network = drawn(CLASSES, bias=True)
    assert network.classifier.bias is not None
    with torch.no_grad():
        logits = network(torch.from_numpy(to_tensor(drawn_frames(2, 40, 56, seed=7), SPEC.input)))
        network.classifier.bias -= logits.mean((0, 2, 3))
    save_checkpoint(path, network, SPEC, {})
    return path


@pytest.fixture(scope="session")
def network_onnx(drawn_checkpoint: Path) -> Path:
    """The drawn network as a file for our CPU engine, beside it, all sides open."""
    path = drawn_checkpoint.with_suffix(".onnx")
    export(drawn_checkpoint, path, target="native", res="40x56", dynamic="both")
    return path


@pytest.fixture(scope="session")
def tensor_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours from a tensor to logits, all sides open."""
    return written(tmp_path_factory.mktemp("onnx") / "tensor.onnx", "tensor", DYNAMIC).path


@pytest.fixture(scope="session")
def frames_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours from frames to labels, all sides open."""
    return written(tmp_path_factory.mktemp("onnx") / "frames.onnx", "frames", DYNAMIC).path


@pytest.fixture
def fixed_onnx(tmp_path: Path) -> Artifact:
    """A file of ours from frames to labels for 1x40x56 alone; each test may spoil its own."""
    return written(tmp_path / "tiny.onnx", "frames", FIXED)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltPlan:
    """A real plan of `fixed_onnx`, built without a GPU; for tests that leave it as it is."""
    pytest.importorskip("tensorrt_rtx")
    folder = tmp_path_factory.mktemp("plan")
    return build_plan(written(folder / "tiny.onnx", "frames", FIXED).path, folder / "tiny.plan", builder="rtx")


@pytest.fixture
def plan(built: BuiltPlan, tmp_path: Path) -> Artifact:
    """A copy of `built` that a test may spoil."""
    for path in (built.artifact.path, sidecar_path(built.artifact.path)):
        shutil.copy(path, tmp_path)
    return read_artifact(tmp_path / built.artifact.path.name)
