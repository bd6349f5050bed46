from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.pixels import U8, to_tensor
from tests.engines.contract import EngineContract
from tests.engines.graphs import SPEC


@pytest.fixture
def path(drawn_checkpoint: Path) -> Path:
    return drawn_checkpoint


class TestTorch(EngineContract):
    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(str(path), batch=batch, threads=1)

    def logits(self, path: Path, frames: U8) -> npt.NDArray[np.floating]:
        planes = torch.from_numpy(to_tensor(frames, SPEC.input)).double()
        with torch.inference_mode():
            logits: npt.NDArray[np.float64] = load_checkpoint(path).model.double()(planes).numpy()
        return logits
