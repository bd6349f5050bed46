"""Frames and labels in a caller's device memory, by the CUDA Array Interface, and the order of two streams.

Nothing here waits on the host: the engine's stream waits for what the caller's holds so far, and the caller's waits for
the labels, so that whatever it does later to the frames comes after they were read. Not yet run on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

from cgnet_deploy.engines.cudagraph import checked
from cgnet_deploy.errors import FrameError

LEGACY = 1  # the default stream, as the interface numbers it; 0 would be ambiguous
GPU = 0  # engines run on the first


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """u8 in device memory. strides: bytes, all positive. stream: a handle, None where no work is pending."""

    name: str
    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    stream: int | None

    @property
    def extent(self) -> int:
        """Bytes from the first to behind the last."""
        return 1 + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of u8 without gaps."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def frames_from(frames: object, stream: int | None) -> DeviceArray:
    """(N, H, W, 3) BGR whose rows and frames may have gaps. Raises FrameError."""
    array = _read("frames", frames, stream, writable=False)
    shape, strides = array.shape, array.strides
    if len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise FrameError(f"frames have shape {shape}; wanted (N, H, W, 3), BGR")
    n, h, w, _ = shape
    if strides[2:] != (3, 1) or strides[1] < 3 * w or (n > 1 and strides[0] < (h - 1) * strides[1] + 3 * w):
        raise FrameError(f"frames {shape} have strides {strides}; wanted packed B, G, R, rows one after the other")
    return array


def labels_from(labels: object, shape: tuple[int, ...], stream: int | None) -> DeviceArray:
    """(N, H, W) without gaps. Raises FrameError."""
    array = _read("labels", labels, stream, writable=True)
    if array.shape != shape or array.strides != dense(shape):
        raise FrameError(f"labels have shape {array.shape} and strides {array.strides}; wanted {shape}, contiguous")
    return array


def _read(name: str, thing: object, stream: int | None, *, writable: bool) -> DeviceArray:
    interface = getattr(thing, "__cuda_array_interface__", None)
    if interface is None:
        raise FrameError(f"{name} are a {type(thing).__name__}; wanted an array on the GPU (__cuda_array_interface__)")
    shape = tuple(interface["shape"])
    pointer, readonly = interface["data"]
    if interface["typestr"] != "|u1":
        raise FrameError(f"{name} are of type {interface['typestr']}; wanted |u1, bytes")
    if writable and readonly:
        raise FrameError(f"{name} can't be written to")
    if stream is None:
        stream = interface.get("stream")
        if stream == 0 or interface["version"] < 3:
            raise FrameError(
                f"{name} don't say which stream they are on; name it, for PyTorch's with "
                "stream=torch.cuda.current_stream().cuda_stream"
            )
    return DeviceArray(name, pointer, shape, tuple(interface.get("strides") or dense(shape)), stream or None)


def shared_stream(frames: DeviceArray, labels: DeviceArray) -> int | None:
    """The stream that both are on, None where no work is pending. Raises FrameError where they name two."""
    named = {array.stream for array in (frames, labels)} - {None}
    if len(named) > 1:
        raise FrameError("frames and labels are on two streams; name the one on which both are used, with stream=")
    return named.pop() if named else None


class Handover:
    """Two events. cudart: the module cuda.bindings.runtime; the GPU's context must be current in every call."""

    def __init__(self, cudart: ModuleType) -> None:
        self._cudart = cudart
        self._ready, self._done = (
            checked(cudart, cudart.cudaEventCreateWithFlags(cudart.cudaEventDisableTiming)) for _ in range(2)
        )

    def destroy(self) -> None:
        for event in (self._ready, self._done):
            checked(self._cudart, self._cudart.cudaEventDestroy(event))

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

    def take(self, frames: DeviceArray, to: int, theirs: int | None, ours: int) -> None:
        """The frames to `to`, (N, H, W, 3). Raises FrameError for a stream of another GPU."""
        cudart = self._cudart
        if theirs is not None:
            recorded = cudart.cudaEventRecord(self._ready, theirs)
            if recorded[0] == cudart.cudaError_t.cudaErrorInvalidResourceHandle:
                cudart.cudaGetLastError()
                raise FrameError(f"the stream is not one of GPU {GPU}, on which the engine runs")
            checked(cudart, recorded)
            checked(cudart, cudart.cudaStreamWaitEvent(ours, self._ready, 0))
        n, h, w, _ = frames.shape
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        for i in range(n):
            target, source, pitch = to + i * h * w * 3, frames.pointer + i * frames.strides[0], frames.strides[1]
            checked(cudart, cudart.cudaMemcpy2DAsync(target, 3 * w, source, pitch, 3 * w, h, kind, ours))

    def give(self, source: int, labels: DeviceArray, ours: int, theirs: int | None) -> None:
        """The labels to where the caller wants them."""
        cudart = self._cudart
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        checked(cudart, cudart.cudaMemcpyAsync(labels.pointer, source, labels.extent, kind, ours))
        if theirs is not None:
            checked(cudart, cudart.cudaEventRecord(self._done, ours))
            checked(cudart, cudart.cudaStreamWaitEvent(theirs, self._done, 0))
