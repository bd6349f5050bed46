from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from cgnet_deploy.checkpoint import load_checkpoint, save_checkpoint
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.pixels import U8, to_tensor
from tests.engines.contract import EngineContract
from tests.engines.graphs import CLASSES, SPEC, drawn_frames
from tests.networks import drawn


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn network whose classifier's bias is set so that every class wins somewhere."""
    path = tmp_path_factory.mktemp("torch") / "tiny.pth"
    network = drawn(CLASSES, bias=True)
    assert network.classifier.bias is not None
    with torch.no_grad():
        logits = network(torch.from_numpy(to_tensor(drawn_frames(2, 40, 56, seed=7), SPEC.input)))
        network.classifier.bias -= logits.mean((0, 2, 3))
    save_checkpoint(path, network, SPEC, {})
    return path


class TestTorch(EngineContract):
    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(str(path), batch=batch, threads=1)

    def logits(self, path: Path, frames: U8) -> npt.NDArray[np.floating]:
        planes = torch.from_numpy(to_tensor(frames, SPEC.input)).double()
        with torch.inference_mode():
            logits: npt.NDArray[np.float64] = load_checkpoint(path).model.double()(planes).numpy()
        return logits
