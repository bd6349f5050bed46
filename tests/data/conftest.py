"""What several tests of data sets share."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.own import Sample


@pytest.fixture
def drawn() -> list[Sample]:
    """Two small samples a split, without the reference material."""
    rng = np.random.default_rng(0)
    return [
        Sample(
            split, f"{split}{i}", rng.integers(0, 256, (12, 16, 3), np.uint8), rng.integers(0, 4, (12, 16), np.uint8)
        )
        for split in ("train", "val")
        for i in range(2)
    ]
