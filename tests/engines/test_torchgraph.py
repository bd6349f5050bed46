"""The captured PyTorch engine: its arithmetic and its steps on a CPU, without the capture; all of it on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cgnet_deploy.engines import torchgraph
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.pixels import to_tensor
from tests.engines.contract import F16_ROUNDING, EngineContract
from tests.engines.graphs import CLASSES, SPEC, drawn_frames
from tests.networks import drawn

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU")


@pytest.fixture
def path(drawn_checkpoint: Path) -> Path:
    return drawn_checkpoint


@pytest.mark.gpu
@GPU
def test_the_time_of_each_kernel(path: Path) -> None:
    layers = open_engine(f"torch-graph:{path}").profile(drawn_frames(1, 40, 56), 5)
    assert len(layers) > 10
    assert min(layer.mean_ns for layer in layers) > 0


@pytest.mark.gpu
@pytest.mark.compiles
@pytest.mark.timeout(300)
@GPU
def test_compiled_it_gives_the_same_labels(path: Path) -> None:
    frames = drawn_frames(1, 40, 56)  # one size only: each takes its time to compile
    wanted = open_engine(f"torch-graph:{path}").infer(frames)
    labels = open_engine(f"torch-graph-max:{path}").infer(frames)
    assert (labels == wanted).mean() > 0.98


class TestWithoutItsGraph(EngineContract):
    """On the CPU: replaying is running again, events and streams do nothing. f16 as PyTorch computes it there."""

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(f"torch-graph:{path}", batch=batch)

    def rounding(self) -> float:
        return F16_ROUNDING

    @pytest.fixture(autouse=True)
    def no_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def recorded(step: Callable[[], None]) -> Callable[[], None]:
            step()
            return step

        event = SimpleNamespace(
            record=lambda: None, synchronize=lambda: None, elapsed_time=lambda other: 0.25 + 0 * id(other)
        )
        monkeypatch.setattr(torchgraph, "DEVICE", "cpu")
        monkeypatch.setattr(torchgraph, "record", torch.inference_mode()(recorded))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
        monkeypatch.setattr(torch.cuda, "Event", lambda **_: event)

    def test_says_what_it_does(self, engine: Engine) -> None:
        assert engine.info.provider == "a card, channels last, CUDA graph"


def test_a_variance_that_is_no_f16_is_kept() -> None:
    network = drawn(CLASSES)
    norm = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert norm.running_var is not None
    norm.running_var += 1e6
    frames = drawn_frames(1, 40, 56)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(to_tensor(frames, SPEC.input)))
        half = torchgraph.FramesToLabels(network, SPEC.input)
        logits = half.model(torch.from_numpy(to_tensor(frames, SPEC.input)).half())
    assert torch.allclose(logits.float(), wanted, atol=F16_ROUNDING * float(wanted.abs().max()))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="sees no NVIDIA GPU"):
        open_engine(f"torch-graph:{path}")
