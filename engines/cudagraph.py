"""A sequence of GPU work recorded once and replayed with one call, by cuda-python: pycuda can't.

Not yet run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from cgnet_deploy.errors import CgnetError


class CudaGraph:
    """An executable graph on one stream. cudart: the module cuda.bindings.runtime."""

    def __init__(self, cudart: ModuleType, executable: Any, stream: int) -> None:
        self._cudart, self._executable, self._stream = cudart, executable, stream

    def launch(self) -> None:
        """Start the recorded work on its stream."""
        checked(self._cudart, self._cudart.cudaGraphLaunch(self._executable, self._stream))

    def destroy(self) -> None:
        """Give the graph back; it must not be at work."""
        checked(self._cudart, self._cudart.cudaGraphExecDestroy(self._executable))


def capture(cudart: ModuleType, stream: int, enqueue: Callable[[], bool]) -> CudaGraph | None:
    """What `enqueue` puts on `stream` (a handle), as a graph; None if it can't be recorded.

    The caller has run `enqueue` once and waited: what a first run does, such as allocating, can't be recorded.
    """
    mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal  # other threads may go on allocating
    checked(cudart, cudart.cudaStreamBeginCapture(stream, mode))
    recorded = False
    try:
        recorded = enqueue()
    finally:  # after an exception too, or the stream would go on recording whatever comes
        status, graph = cudart.cudaStreamEndCapture(stream)
        ended = status == cudart.cudaError_t.cudaSuccess
        if ended and not recorded:
            cudart.cudaGraphDestroy(graph)
        if not (ended and recorded):
            cudart.cudaGetLastError()  # takes the error back, or whoever asks CUDA next would meet it
    if not (ended and recorded):
        return None
    executable = checked(cudart, cudart.cudaGraphInstantiate(graph, 0))
    checked(cudart, cudart.cudaGraphDestroy(graph))
    return CudaGraph(cudart, executable, stream)


def checked(cudart: ModuleType, returned: tuple[Any, ...]) -> Any:
    """What a call gives beside its status, None if nothing. Raises CgnetError for a bad status."""
    status, *values = returned
    if status != cudart.cudaError_t.cudaSuccess:
        raise CgnetError(f"CUDA: {status.name}")
    return values[0] if values else None
