"""A stream of GPU work with a clock of its own, by cuda-python, for a runtime that has none. Not yet run on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from cgnet_deploy.engines.cudagraph import checked


class CudaStream:
    """cudart: the module cuda.bindings.runtime. handle: what a runtime takes to put its work on it.

    Its time is in milliseconds, with a resolution of half a microsecond. Raises CgnetError for what CUDA refuses.
    """

    def __init__(self, cudart: ModuleType) -> None:
        self._cudart = cudart
        self._stream = checked(cudart, cudart.cudaStreamCreate())
        self._start, self._end = (checked(cudart, cudart.cudaEventCreate()) for _ in range(2))
        self.handle = int(self._stream)

    def device_ns(self, enqueue: Callable[[], None]) -> int:
        """What the work that `enqueue` puts on this stream takes, from the event before it to the one after it."""
        checked(self._cudart, self._cudart.cudaEventRecord(self._start, self._stream))
        enqueue()
        checked(self._cudart, self._cudart.cudaEventRecord(self._end, self._stream))
        checked(self._cudart, self._cudart.cudaEventSynchronize(self._end))
        return int(checked(self._cudart, self._cudart.cudaEventElapsedTime(self._start, self._end)) * 1e6)
