"""Random numbers for small graphs; the same ones in every run."""

from __future__ import annotations

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.export.graphs")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
