"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.errors import EngineUnavailable

SHARED = Path(__file__).resolve().parents[2] / "shared"

# Where there is no GPU, Triton's kernels are interpreted. It reads this once, when it is first imported.
try:
    find_gpu()
except EngineUnavailable:
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's reference material (real weights, real frames), which a user's checkout lacks."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{SHARED} is missing: CI must run the tests that need it")
        pytest.skip("the reference material ../shared is not here")
    return SHARED
