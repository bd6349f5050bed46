"""What all tests of this layer share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.register_assert_rewrite("tests.export.graphs")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test that exports."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="package", autouse=True)
def single_thread() -> Iterator[None]:
    """Maps of a few pixels: a second thread does nothing but wait, for long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
