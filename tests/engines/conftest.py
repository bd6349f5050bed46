"""Fixtures of the engines' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.artifact import Artifact
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
