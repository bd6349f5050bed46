"""Arrays in a caller's device memory, by the CUDA Array Interface or DLPack, and the stream that they are on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.engines.dlpack import lent
from cgnet_deploy.errors import FrameError

LEGACY = 1  # the default stream, as the interface numbers it; 0 would be ambiguous
ON_GPU = "wanted an array on the GPU (__cuda_array_interface__ or DLPack)"


@dataclass(frozen=True, slots=True)
class Use:
    """One call. stream: what its caller named. ours: the engine's stream. lent: what is given back behind the call."""

    stream: int | None
    ours: int
    lent: ExitStack


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """u8 in device memory. strides: bytes. stream: a handle, None where no work is pending.

    unnamed: what its owner does next is on a stream that isn't known, so nothing but the host can wait for its use.
    """

    name: str
    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    readonly: bool
    stream: int | None
    unnamed: bool = False

    @property
    def extent(self) -> int:
        """Bytes from the first to behind the last."""
        return 1 + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True, slots=True)
class Frames:
    """planes: (N, H, W, 3), BGR, alone, or luma, (N, H, W), and chroma, (N, H / 2, W), with the factors `nv12`."""

    planes: tuple[DeviceArray, ...]
    nv12: tuple[int, ...] = ()

    @property
    def sizes(self) -> tuple[int, int, int]:
        n, h, w, *_ = self.planes[0].shape
        return n, h, w


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of u8 without gaps."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def settled(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> tuple[int, ...]:
    """The strides of u8, dense for None, and for a side of 1, whose stride doesn't matter: PyTorch's DLPack says 1."""
    sides = zip(shape, strides or dense(shape), dense(shape), strict=True)
    return tuple(own if side == 1 else stride for side, stride, own in sides)


def frames_from(frames: object, use: Use) -> Frames:
    """(N, H, W, 3) BGR whose rows and frames may have gaps. Raises FrameError."""
    array = read("frames", frames, use, writable=False)
    shape, strides = array.shape, array.strides
    if len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise FrameError(f"frames have shape {shape}; wanted (N, H, W, 3), BGR")
    n, h, w, _ = shape
    if strides[2:] != (3, 1) or strides[1] < 3 * w or (n > 1 and strides[0] < (h - 1) * strides[1] + 3 * w):
        raise FrameError(f"frames {shape} have strides {strides}; wanted packed B, G, R, rows one after the other")
    return Frames((array,))


def labels_from(labels: object, shape: tuple[int, ...], use: Use) -> DeviceArray:
    """(N, H, W) without gaps. Raises FrameError."""
    array = read("labels", labels, use, writable=True)
    if array.shape != shape or array.strides != dense(shape):
        raise FrameError(f"labels have shape {array.shape} and strides {array.strides}; wanted {shape}, contiguous")
    return array


def read(name: str, thing: Any, use: Use, *, writable: bool) -> DeviceArray:
    """`thing` as it lies. Raises FrameError, which calls it `name`."""
    interface = getattr(thing, "__cuda_array_interface__", None)
    named = use.stream or (interface and interface["version"] >= 3 and interface.get("stream") != 0)
    if hasattr(thing, "__dlpack__") and not (interface and named):
        array = _by_dlpack(name, thing, use)
    elif interface is not None:
        array = _by_interface(name, interface, use.stream)
    else:
        raise FrameError(f"{name} are a {type(thing).__name__}; {ON_GPU}")
    if writable and array.readonly:
        raise FrameError(f"{name} can't be written to")
    return array


def _by_interface(name: str, interface: dict[str, Any], stream: int | None) -> DeviceArray:
    shape = tuple(interface["shape"])
    pointer, readonly = interface["data"]
    if interface["typestr"] != "|u1":
        raise FrameError(f"{name} are of type {interface['typestr']}; wanted |u1, bytes")
    if stream is None:
        stream = interface.get("stream")
        if stream == 0 or interface["version"] < 3:
            raise FrameError(
                f"{name} don't say which stream they are on; name it, for PyTorch's with "
                "stream=torch.cuda.current_stream().cuda_stream"
            )
    return DeviceArray(name, pointer, shape, settled(shape, interface.get("strides")), readonly, stream or None)


def _by_dlpack(name: str, thing: Any, use: Use) -> DeviceArray:
    """Whose producer makes the named stream wait for it, or else the engine's."""
    it = use.lent.enter_context(lent(name, thing, use.stream or use.ours))
    strides = settled(it.shape, it.strides)
    return DeviceArray(name, it.pointer, it.shape, strides, it.readonly, use.stream, unnamed=use.stream is None)


def shared_stream(arrays: Sequence[DeviceArray]) -> int | None:
    """The stream that all are on, None where no work is pending. Raises FrameError where they name two."""
    named = {array.stream for array in arrays} - {None}
    if len(named) > 1:
        raise FrameError("frames and labels are on two streams; name the one on which both are used, with stream=")
    return named.pop() if named else None
