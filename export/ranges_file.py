"""Calibrated ranges as a file, with their origin: one graph of one checkpoint, some frames, one method.

Where the weights were distilled on the frames (distill.py), it holds those too.

The file is small, readable JSON. It is used only if it was made for the very same graph; its frames need not be there
then, so that an int8 file can be made again, byte for byte, without them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from cgnet_deploy.codec import from_json, to_json
from cgnet_deploy.errors import ArtifactError, one_line
from cgnet_deploy.export.calibrate import Scales
from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.files import read_json, write_json
from cgnet_deploy.pixels import F32, U8

MAX_BYTES = 64 << 20
SHOWN = 40  # characters of what differs


@dataclass(frozen=True, slots=True)
class Origin:
    """What ranges were measured on. checkpoint, graph, frames: sha256. images: how many frames.

    distilled: how weights were trained on them, empty if they were not.
    """

    checkpoint: str
    graph: str
    frames: str
    images: int
    method: str
    distilled: str = ""

    def summary(self) -> str:
        """`mse, 128 frames 1a2b3c4d`."""
        distilled = f", distilled in {self.distilled}" if self.distilled else ""
        return f"{self.method}, {self.images} frames {self.frames[:8]}{distilled}"


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """scales: see Scales. bias: by convolution, the (C_out,) by which int8 moves its mean result.

    kernels: (C_out, C_in / groups, kh, kw) of those whose weights were distilled, which int8 takes instead.
    """

    origin: Origin
    scales: Scales
    bias: Mapping[str, F64]
    kernels: Mapping[str, F32] = field(default_factory=dict)


def hash_of(frames: Iterable[U8]) -> str:
    """The sha256 of frames, each (H, W, 3) u8: their sizes and pixels."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(repr(frame.shape).encode())
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Kernel:
    """f32: base64 of little-endian floats."""

    shape: tuple[int, ...]
    f32: str


@dataclass(frozen=True, slots=True)
class _File:
    schema: Literal[1]
    made: Origin
    scales: Scales
    bias: dict[str, tuple[float, ...]]
    kernels: dict[str, _Kernel] = field(default_factory=dict)


def write_ranges(path: Path, ranges: Ranges) -> None:
    bias = {name: tuple(values.tolist()) for name, values in ranges.bias.items()}
    kernels = {name: _packed(kernel) for name, kernel in ranges.kernels.items()}
    write_json(path, to_json(_File(1, ranges.origin, ranges.scales, bias, kernels)))


def read_ranges(path: Path) -> Ranges:
    """Raises ArtifactError for a file that can't be read, is no such file, or holds a number that is no scale."""
    try:
        file = from_json(_File, read_json(path, MAX_BYTES))
        for name, scale in (*file.scales.reads.items(), *file.scales.results.items(), *file.scales.added.items()):
            if scale <= 0:
                raise ValueError(f"the scale of {name} is {scale!r}, wanted a positive one")
        bias = {name: np.array(values) for name, values in file.bias.items()}
        kernels = {name: _unpacked(kernel) for name, kernel in file.kernels.items()}
    except OSError as error:
        raise ArtifactError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(
            f"{path} is no calibration cache of ours ({one_line(error)}); remove it to calibrate again"
        ) from error
    return Ranges(file.made, file.scales, bias, kernels)


def check_origin(path: Path, origin: Origin, wanted: Origin) -> None:
    """Raise ArtifactError, saying what differs, if ranges have another origin than the one wanted.

    An empty field of `wanted` fits anything.
    """
    names = {
        "checkpoint": "another checkpoint",
        "graph": "another form of the graph",
        "frames": "other frames",
        "method": "another method",
        "distilled": "another distillation",
    }
    for key, name in names.items():
        has, asked = getattr(origin, key), getattr(wanted, key)
        if asked and has != asked:
            raise ArtifactError(
                f"{path} is a calibration cache of {name} ({has[:SHOWN] or 'none'}, wanted {asked[:SHOWN]}); "
                "remove it to calibrate again, or name another --calib-cache"
            )


def _packed(kernel: F32) -> _Kernel:
    return _Kernel(kernel.shape, base64.b64encode(kernel.astype("<f4").tobytes()).decode("ascii"))


def _unpacked(stored: _Kernel) -> F32:
    kernel: F32 = np.frombuffer(base64.b64decode(stored.f32, validate=True), "<f4").astype(np.float32)
    if not np.isfinite(kernel).all():
        raise ValueError("a kernel is not finite")
    return kernel.reshape(stored.shape)
