"""The plain PyTorch engine, as far as the contract of all backends doesn't show it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from cgnet_deploy.engines import torchgraph
from cgnet_deploy.engines.open import open_engine
from tests.engines.graphs import drawn_frames


@pytest.mark.parametrize("call", ["infer", "logits"])
def test_f32_is_not_rounded_to_tf32(drawn_checkpoint: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN would on a GPU, unless it is told not to while a convolution runs; what a user has set is left alone."""
    seen: set[bool] = set()
    forward = nn.Conv2d.forward

    def noted(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        seen.add(torch.backends.cudnn.allow_tf32)
        return forward(conv, x)

    monkeypatch.setattr(nn.Conv2d, "forward", noted)
    before = torch.backends.cudnn.allow_tf32
    with open_engine(f"torch:{drawn_checkpoint}") as engine:
        getattr(engine, call)(drawn_frames(1, 17, 26))
    assert seen == {False}
    assert torch.backends.cudnn.allow_tf32 == before


def test_a_recording_lets_other_engines_of_the_process_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's mode "global" would end it whenever another thread allocates."""

    class Recording:
        modes: ClassVar[list[str]] = []

        def __init__(self, graph: object, stream: object, capture_error_mode: str = "global") -> None:
            self.modes.append(capture_error_mode)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    class Stream:
        def wait_stream(self, other: object) -> None: ...

    class Graph:
        replay = None

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: Recording(None, None, "a stream"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    torchgraph.record(lambda: None)
    assert Recording.modes == ["a stream", "thread_local"]
