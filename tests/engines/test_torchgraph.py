"""The captured PyTorch engine: its arithmetic and its steps on a CPU, without the capture; all of it on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.engines import torchgraph
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.pixels import to_tensor
from tests.engines.contract import EngineContract
from tests.engines.graphs import CLASSES, SPEC, drawn_frames
from tests.networks import drawn

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU")
F16_ROUNDING = 0.02  # of the largest logit: some twenty layers of sums in f16


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchgraph") / "tiny.pth"
    network = drawn(CLASSES, bias=True)
    assert network.classifier.bias is not None
    with torch.no_grad():
        logits = network(torch.from_numpy(to_tensor(drawn_frames(2, 40, 56, seed=7), SPEC.input)))
        network.classifier.bias -= logits.mean((0, 2, 3))
    save_checkpoint(path, network, SPEC, {})
    return path


class Contract(EngineContract):
    backend = "torch-graph"

    @pytest.fixture
    def path(self, path: Path) -> Path:
        return path

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(f"{self.backend}:{path}", batch=batch)

    def test_gives_the_labels_of_the_network(self, path: Path, engine: Engine) -> None:
        frames = drawn_frames(2, 40, 56)
        labels = engine.infer(frames)
        with torch.inference_mode():
            planes = torch.from_numpy(to_tensor(frames, SPEC.input)).double()
            logits = load_checkpoint(path).model.double()(planes).numpy()
        second, first = np.sort(logits, axis=1)[:, -2:].swapaxes(0, 1)
        sure = first - second > F16_ROUNDING * np.abs(logits).max()
        assert sure.mean() > 0.5
        assert len(np.unique(logits.argmax(1)[sure])) == CLASSES
        np.testing.assert_array_equal(labels[sure], logits.argmax(1)[sure])


@pytest.mark.gpu
@GPU
class TestOnAGpu(Contract):
    def test_tells_the_time_of_each_kernel(self, engine: Engine) -> None:
        layers = engine.profile(drawn_frames(1, 40, 56), 5)
        assert len(layers) > 10
        assert min(layer.mean_ns for layer in layers) > 0


@pytest.mark.gpu
@GPU
def test_compiled_it_gives_the_same_labels(path: Path) -> None:
    frames = drawn_frames(1, 40, 56)  # one size only: each takes its time to compile
    wanted = open_engine(f"torch-graph:{path}").infer(frames)
    labels = open_engine(f"torch-graph-max:{path}").infer(frames)
    assert (labels == wanted).mean() > 0.98


class TestWithoutItsGraph(Contract):
    """On the CPU: replaying is running again, events and streams do nothing. f16 as PyTorch computes it there."""

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
