"""Frames and labels in a caller's device memory: what comes before and after the network, and the order of two streams.

Nothing here waits on the host: the engine's stream waits for what the caller's holds so far, and the caller's waits for
the labels, so that whatever it does later to the frames comes after they were read. Not yet run on a GPU.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from cgnet_deploy.engines.cudagraph import checked
from cgnet_deploy.engines.devicearray import DeviceArray, Frames
from cgnet_deploy.engines.gpu import GPU
from cgnet_deploy.engines.nv12 import Converter
from cgnet_deploy.errors import FrameError


class Handover:
    """Two events, and a kernel once NV12 comes. ours: the engine's stream, of pycuda, whose driver module `cuda` is.

    cudart: the module cuda.bindings.runtime. The GPU's context must be current in every call.
    """

    def __init__(self, cudart: ModuleType, cuda: ModuleType, ours: Any) -> None:
        self._cudart, self._cuda, self._ours = cudart, cuda, ours
        self._converter: Converter | None = None
        self._ready, self._done = (
            checked(cudart, cudart.cudaEventCreateWithFlags(cudart.cudaEventDisableTiming)) for _ in range(2)
        )

    def destroy(self) -> None:
        for event in (self._ready, self._done):
            checked(self._cudart, self._cudart.cudaEventDestroy(event))
        self._converter = None

    def check(self, *arrays: DeviceArray, theirs: int | None) -> None:
        """Raise FrameError unless the arrays are in the GPU's memory and their stream isn't being captured."""
        kinds = self._cudart.cudaMemoryType
        for array in arrays:
            for byte in (0, array.extent - 1):  # CUDA knows where an address lies, not how much of it is the caller's
                found = checked(self._cudart, self._cudart.cudaPointerGetAttributes(array.pointer + byte))
                if found.type not in (kinds.cudaMemoryTypeDevice, kinds.cudaMemoryTypeManaged):
                    where = "aren't in the memory of a GPU" if byte == 0 else "end behind the memory of the GPU"
                    raise FrameError(f"{array.name} {where}: check address, shape and strides")
                if found.type == kinds.cudaMemoryTypeDevice and found.device != GPU:
                    raise FrameError(f"{array.name} are on GPU {found.device}, the engine is on GPU {GPU}")
        if theirs is not None:
            capturing = checked(self._cudart, self._cudart.cudaStreamIsCapturing(theirs))
            if capturing != self._cudart.cudaStreamCaptureStatus.cudaStreamCaptureStatusNone:
                raise FrameError("the stream is being captured into a graph; call this outside of the capture")

    def take(self, frames: Frames, to: int, theirs: int | None) -> None:
        """The frames to `to`, (N, H, W, 3). Raises FrameError for a stream of another GPU."""
        cudart = self._cudart
        if theirs is not None:
            recorded = cudart.cudaEventRecord(self._ready, theirs)
            if recorded[0] == cudart.cudaError_t.cudaErrorInvalidResourceHandle:
                cudart.cudaGetLastError()
                raise FrameError(f"the stream is not one of GPU {GPU}, on which the engine runs")
            checked(cudart, recorded)
            checked(cudart, cudart.cudaStreamWaitEvent(self._ours.handle, self._ready, 0))
        if frames.nv12:
            self._converter = self._converter or Converter(self._cuda)
            self._converter.convert(frames, to, self._ours)
            return
        (bgr,), (n, h, w) = frames.planes, frames.sizes
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        for i in range(n):
            target, source, pitch = to + i * h * w * 3, bgr.pointer + i * bgr.strides[0], bgr.strides[1]
            checked(cudart, cudart.cudaMemcpy2DAsync(target, 3 * w, source, pitch, 3 * w, h, kind, self._ours.handle))

    def give(self, source: int, labels: DeviceArray, theirs: int | None) -> None:
        """The labels to where the caller wants them."""
        cudart = self._cudart
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        checked(cudart, cudart.cudaMemcpyAsync(labels.pointer, source, labels.extent, kind, self._ours.handle))
        if theirs is not None:
            checked(cudart, cudart.cudaEventRecord(self._done, self._ours.handle))
            checked(cudart, cudart.cudaStreamWaitEvent(theirs, self._done, 0))
