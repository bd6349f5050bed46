"""That a stream's clock asks CUDA for the right things in the right order; that CUDA does them is for a GPU to show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cgnet_deploy.engines.cudastream import CudaStream
from cgnet_deploy.errors import CgnetError


class FakeCudart(SimpleNamespace):
    """cuda.bindings.runtime with a stream on which each unit of work takes half a millisecond."""

    def __init__(self) -> None:
        super().__init__(cudaError_t=SimpleNamespace(cudaSuccess=0))
        self.work, self.events = 0, dict[object, int]()
        self.waited_for: list[object] = []
        self.refusal: Any = 0

    def cudaStreamCreate(self) -> tuple[int, int]:
        return 0, 7

    def cudaEventCreate(self) -> tuple[int, object]:
        return 0, object()

    def cudaEventRecord(self, event: object, stream: int) -> tuple[int]:
        assert stream == 7
        self.events[event] = self.work
        return (0,)

    def cudaEventSynchronize(self, event: object) -> tuple[Any]:
        self.waited_for.append(event)
        return (self.refusal,)

    def cudaEventElapsedTime(self, start: object, end: object) -> tuple[Any, float]:
        if end not in self.waited_for:
            return SimpleNamespace(name="cudaErrorNotReady"), 0.0
        return 0, (self.events[end] - self.events[start]) * 0.5


def test_the_time_is_that_of_the_work_between_the_events() -> None:
    cudart = FakeCudart()
    stream = CudaStream(cudart)  # type: ignore[arg-type]

    def enqueue() -> None:
        cudart.work += 3

    cudart.work += 100  # what was there before
    assert stream.handle == 7
    assert [stream.device_ns(enqueue) for _ in range(2)] == [1_500_000, 1_500_000]


def test_what_cuda_refuses_is_an_error() -> None:
    cudart = FakeCudart()
    cudart.refusal = SimpleNamespace(name="cudaErrorIllegalAddress")
    with pytest.raises(CgnetError, match="cudaErrorIllegalAddress"):
        CudaStream(cudart).device_ns(lambda: None)  # type: ignore[arg-type]
