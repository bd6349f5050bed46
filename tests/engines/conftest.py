"""Fixtures of the engines' tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path
from cgnet_deploy.engines.build import BuildReport, build_plan
from tests.engines.graphs import DYNAMIC, FIXED, written


@pytest.fixture(scope="session")
def tensor_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours from planes to logits, all sides open."""
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
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """A real plan of `fixed_onnx`, built without a GPU; for tests that leave it as it is."""
    pytest.importorskip("tensorrt_rtx")
    folder = tmp_path_factory.mktemp("plan")
    return build_plan(written(folder / "tiny.onnx", "frames", FIXED).path, folder / "tiny.plan", builder="rtx")


@pytest.fixture
def plan(built: BuildReport, tmp_path: Path) -> Artifact:
    """A copy of `built` that a test may spoil."""
    for path in (built.artifact.path, sidecar_path(built.artifact.path)):
        shutil.copy(path, tmp_path)
    return read_artifact(tmp_path / built.artifact.path.name)
