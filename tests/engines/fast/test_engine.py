"""The engine around the kernels.

Without a GPU the kernels' references stand in for them in the contract's many inferences; one test interprets them.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import triton

import cgnet_deploy
from cgnet_deploy.bench.measure.run import first_frames
from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.fast import choice
from cgnet_deploy.engines.fast import engine as fast_engine
from cgnet_deploy.engines.fast.launch import Launch
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import Precision, Res
from tests.engines.contract import EngineContract, network_logits
from tests.engines.graphs import drawn_frames


@pytest.fixture
def path(drawn_checkpoint: Path) -> Path:
    return drawn_checkpoint


@pytest.fixture
def by_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain torch does what the kernels would, where they would only be interpreted."""
    if not torch.cuda.is_available():
        monkeypatch.setattr(Launch, "run", lambda launch: launch.reference())
        monkeypatch.setattr(triton.knobs.runtime, "interpret", True)  # also where PyTorch alone knows no GPU


@pytest.mark.gpu
@pytest.mark.usefixtures("by_references")
class TestFast(EngineContract):
    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(f"torch-fast:{path}", batch=batch)

    def on_gpu(self) -> bool:
        return torch.cuda.is_available()

    def test_gives_logits_as_well(self, path: Path, engine: Engine) -> None:
        frames = drawn_frames(1, 41, 57)
        assert (engine.info.backend, engine.info.precision) == ("torch-fast", Precision.F32)
        wanted = network_logits(path, frames)
        logits = engine.logits(frames)
        assert logits is not None
        assert np.abs(logits - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_kernels_run_inside_the_engine(path: Path) -> None:
    """In f16: in f32 test_network.py holds them to the network, and the contract the engine around them."""
    frames = drawn_frames(1, 17, 26)
    with open_engine(f"torch-fast-f16:{path}") as engine, open_engine(f"torch:{path}") as plain:
        assert (engine.info.backend, engine.info.precision) == ("torch-fast", Precision.F16)
        assert "Triton" in engine.info.provider
        labels, wanted = engine.infer(frames), plain.infer(frames)
    assert (labels == wanted).mean() > 0.98
    assert len(np.unique(wanted)) > 2


def test_without_a_gpu_a_checkpoint_runs_by_plain_torch(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    caplog.set_level(logging.INFO, logger="cgnet_deploy")
    with open_engine(str(path)) as engine:
        assert engine.info.backend == "torch"
    assert not caplog.messages


def test_asked_for_without_a_gpu_it_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(triton.knobs.runtime, "interpret", False)
    with pytest.raises(EngineUnavailable, match="no CUDA device for the fast path; torch:FILE runs on a CPU"):
        open_engine(f"torch-fast:{path}")


def test_a_kernel_that_errs_is_found_when_the_engine_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(launch: Launch) -> None:
        launch.reference()
        if launch.name == "gate 128":
            value = launch.arguments["gate"]
            assert isinstance(value, torch.Tensor)
            value.mul_(1.01)

    monkeypatch.setattr(Launch, "run", wrong)
    with pytest.raises(EngineUnavailable, match=r"the fast path in f32 is off by .* of the largest score"):
        open_engine(f"torch-fast:{path}")


@pytest.mark.parametrize("failure", ["kernel", "package"])
def test_what_cannot_run_on_a_gpu_falls_back_and_says_why(
    path: Path, failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(launch: Launch) -> None:
        raise RuntimeError("out of resource: shared memory\nand more")

    checkpoint = load_checkpoint(path)
    caplog.set_level(logging.INFO, logger="cgnet_deploy")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    if failure == "kernel":
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
        monkeypatch.setattr(fast_engine.FastEngine, "_prepare", broken)
        monkeypatch.setattr(fast_engine, "stored", lambda weights, dtype, device: weights)
    else:
        monkeypatch.setitem(sys.modules, "triton", None)
    assert choice.fast_or_none(checkpoint, (None, None, None)) is None
    (line,) = caplog.messages
    assert "running by plain PyTorch: " in line
    wanted = "the fast path doesn't run here: " if failure == "kernel" else "pip install 'cgnet-deploy[fast]'"
    assert wanted in line


@pytest.mark.gpu
@pytest.mark.parametrize("prefix", ["torch-fast", "torch-fast-f16"])
def test_labels_on_a_gpu_agree_with_the_cpu(prefix: str) -> None:
    """Not yet run on a GPU."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    ref = Path(cgnet_deploy.__file__).parent / "weights" / "camvid-scratch.pth"
    frames = first_frames(None, Res(360, 480), 2)  # street scenes
    with torch.inference_mode():
        checkpoint = load_checkpoint(ref)
        wanted = checkpoint.model(torch.from_numpy(to_tensor(frames, checkpoint.spec.input))).argmax(1).numpy()
    with open_engine(f"{prefix}:{ref}") as engine:
        assert "CUDA graph" in engine.info.provider
        assert (engine.infer(frames) == wanted).mean() >= 0.999
        np.testing.assert_array_equal(engine.infer(frames), engine.infer(frames))  # one graph, twice
        assert engine.device_ns() > 0
