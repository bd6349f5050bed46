"""NV12 frames as decoders leave them on a GPU, in the terms that nv12.ptx converts them by.

With Kr, Kb of the matrix, Kg = 1 - Kr - Kb, and Y, Cb, Cr brought to full range:

    R = Y + 2 (1 - Kr) Cr    B = Y + 2 (1 - Kb) Cb    G = Y - 2 (1 - Kr) Kr / Kg Cr - 2 (1 - Kb) Kb / Kg Cb

in integers, as multiples of 2^-20, each rounded half up. cpp/src/nv12.hpp is the same for C++.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cgnet_deploy.engines.devicearray import DeviceArray, Frames, Use, read
from cgnet_deploy.errors import FrameError, UsageError

Matrix = Literal["bt601", "bt709"]
RED_AND_BLUE: dict[Matrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
ONE = 1 << 20
THREADS = 256
ARGUMENTS = "PQPQPIiiiiii"  # of the kernel, as the letters of `struct`


@dataclass(frozen=True, slots=True)
class Nv12:
    """Frames of NV12, as arrays on the GPU, for `Engine.infer_on_device`.

    luma: (H, W) or (N, H, W) u8. chroma: (H / 2, W / 2, 2) or (H / 2, W), likewise; None where `luma` is one surface
    with the chroma's rows below, (3 H / 2, W). Rows may have gaps. matrix, full_range: what the video says of its
    colours; HD that says nothing is mostly BT.709 in limited range, SD BT.601.
    """

    luma: object
    chroma: object | None = None
    _: KW_ONLY
    matrix: Matrix = "bt709"
    full_range: bool = False

    def __post_init__(self) -> None:
        if self.matrix not in RED_AND_BLUE:
            raise UsageError(f"matrix={self.matrix!r}: wanted one of {', '.join(RED_AND_BLUE)}")


def factors(matrix: Matrix, full_range: bool) -> tuple[int, ...]:
    """The luma of black, and the factors of luma, Cr in red, Cr and Cb in green, and Cb in blue."""
    kr, kb = RED_AND_BLUE[matrix]
    kg = 1 - kr - kb
    luma, chroma = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    red, blue = chroma * 2 * (1 - kr), chroma * 2 * (1 - kb)
    real = (luma, red, red * kr / kg, blue * kb / kg, blue)
    return (0 if full_range else 16, *(int(ONE * factor + 0.5) for factor in real))


def planes_from(frames: Nv12, use: Use) -> Frames:
    """Luma (N, H, W) and chroma (N, H / 2, W). Raises FrameError."""
    luma = _rows(read("luma", frames.luma, use, writable=False))
    if frames.chroma is None:
        n, rows, w = luma.shape
        if rows % 3:
            raise FrameError(f"a surface of NV12 has {rows} rows; wanted 3 for each 2 of the frame, chroma below luma")
        h = rows // 3 * 2
        surface, luma = luma, replace(luma, shape=(n, h, w))
        below = surface.pointer + h * surface.strides[1]
        chroma = replace(surface, name="chroma", pointer=below, shape=(n, rows - h, w))
    else:
        chroma = _rows(read("chroma", frames.chroma, use, writable=False))
    n, h, w = luma.shape
    if h % 2 or w % 2 or 0 in luma.shape:
        raise FrameError(f"NV12 frames are {h}x{w}; both sides must be even, and not 0")
    if chroma.shape != (n, h // 2, w):
        raise FrameError(
            f"chroma of {chroma.shape[0]} frames has {chroma.shape[1]} rows of {chroma.shape[2]} bytes; "
            f"wanted {n} with {h // 2} of {w}"
        )
    for plane in (luma, chroma):
        apart, row, byte = plane.strides
        if byte != 1 or row < w or (n > 1 and apart < (plane.shape[1] - 1) * row + w):
            raise FrameError(f"{plane.name} has strides {plane.strides}; wanted bytes without gaps in rows, in order")
    return Frames((luma, chroma), factors(frames.matrix, frames.full_range))


def _rows(plane: DeviceArray) -> DeviceArray:
    """As (N, rows, bytes): pairs of Cb and Cr are two bytes, and a side of 1 behind is no side."""
    shape, strides = plane.shape, plane.strides
    if len(shape) > 2 and shape[-1] in (1, 2) and strides[-2:] == (shape[-1], 1):
        shape, strides = (*shape[:-2], shape[-2] * shape[-1]), (*strides[:-2], 1)
    if len(shape) == 2:
        shape, strides = (1, *shape), (shape[0] * strides[0], *strides)
    if len(shape) != 3:
        raise FrameError(f"{plane.name} has shape {plane.shape}; wanted (H, W) or (N, H, W), of chroma pairs or bytes")
    return replace(plane, shape=shape, strides=strides)


class Converter:
    """The kernel, loaded. cuda: the module pycuda.driver; the GPU's context must be current in every call."""

    def __init__(self, cuda: Any) -> None:
        self._module = cuda.module_from_buffer(Path(__file__).with_name("nv12.ptx").read_bytes() + b"\0")
        self._kernel = self._module.get_function("nv12_to_bgr")
        self._kernel.prepare(ARGUMENTS)

    def convert(self, frames: Frames, to: int, stream: Any) -> None:
        """`frames` to (N, H, W, 3) at `to`, on pycuda's `stream`."""
        luma, chroma = frames.planes
        n, h, w = frames.sizes
        for i in range(n):
            self._kernel.prepared_async_call(
                ((w + THREADS - 1) // THREADS, h),
                (THREADS, 1, 1),
                stream,
                luma.pointer + i * luma.strides[0],
                luma.strides[1],
                chroma.pointer + i * chroma.strides[0],
                chroma.strides[1],
                to + i * h * w * 3,
                w,
                *frames.nv12,
            )
