"""The contract as an engine on a GPU meets it, where kernels are chosen for each shape and of equal classes any wins.

Or the first run on a GPU would fail by differences that are none: here on the CPU, with noise in place of kernels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.files import sha256_of
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Precision
from tests.engines.contract import EngineContract
from tests.engines.graphs import SPEC, drawn_frames, logits_of

STEP = 64  # of the logits: at one pixel of a hundred the two best classes are equal


def with_ties(frames: U8) -> F32:
    logits: F32 = STEP * (logits_of(frames) / STEP).round().astype(np.float32)
    return logits


class Rounding(Engine):
    """Of equal classes another wins whenever a size is bound again."""

    def __init__(self, path: Path, batch: int | None) -> None:
        self.info = EngineInfo("noise", "a card", Precision.F32, SPEC, (batch, None, None), sha256_of(path))
        self.sizes: tuple[int, ...] = ()
        self.bound = 0

    def _load(self, frames: U8) -> None:
        if frames.shape != self.sizes:
            self.sizes, self.bound = frames.shape, self.bound + 1
        self.frames = frames.copy()

    def enqueue(self) -> None:
        logits = with_ties(self.frames)
        noise = np.random.default_rng(self.bound).uniform(0, 0.1, logits.shape).astype(np.float32)
        self.labels = labels_of(logits + noise)

    def sync(self) -> None: ...

    def fetch(self) -> U8:
        return self.labels.copy()

    def device_ns(self) -> int:
        return 1

    def close(self) -> None: ...


class TestOnAGpu(EngineContract):
    @pytest.fixture
    def path(self, frames_onnx: Path) -> Path:
        return frames_onnx

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return Rounding(path, batch)

    def logits(self, path: Path, frames: U8) -> npt.NDArray[np.floating]:
        return with_ties(frames)

    def on_gpu(self) -> bool:
        return True


def test_labels_do_change(frames_onnx: Path) -> None:
    """Or nothing would be shown."""
    engine, frames = Rounding(frames_onnx, None), drawn_frames(1, 40, 56)
    first = engine.infer(frames)
    engine.infer(frames[:, :32])
    assert (engine.infer(frames) != first).any()
