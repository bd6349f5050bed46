"""Calibrated ranges as a file, with their origin: one graph of one checkpoint, some frames, one method.

Where the weights were distilled on the frames (distill.py), it holds those too.

The file is small, readable JSON. It is used only if it was made for the very same graph; its frames need not be there
then, so that an int8 file can be made again, byte for byte, without them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.export.calibrate import Scales
from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.files import replacing
from cgnet_deploy.pixels import F32, U8

SCHEMA = 1
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


def write_ranges(path: Path, ranges: Ranges) -> None:
    content = {
        "schema": SCHEMA,
        "made": asdict(ranges.origin),
        "scales": asdict(ranges.scales),
        "bias": {name: values.tolist() for name, values in ranges.bias.items()},
        "kernels": {name: {"shape": kernel.shape, "f32": _packed(kernel)} for name, kernel in ranges.kernels.items()},
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_ranges(path: Path) -> Ranges:
    """Raises ArtifactError for a file that can't be read, is no such file, or holds a number that is no scale."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ArtifactError(f"{path} is larger than {MAX_BYTES >> 20} MiB: no calibration cache of ours")
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ArtifactError(f"{path} can't be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is no calibration cache of ours ({type(error).__name__}: {error}); remove it to calibrate again"
        ) from error


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


def _parse(data: Any) -> Ranges:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, wanted {SCHEMA}")
    made = data["made"]
    texts = {key: _text(made[key]) for key in ("checkpoint", "graph", "frames", "method")}
    reads, results, added = (
        {str(name): _scale(value) for name, value in data["scales"][kind].items()}
        for kind in ("reads", "results", "added")
    )
    bias = {str(name): np.array([_finite(v) for v in values]) for name, values in data["bias"].items()}
    kernels = {str(name): _unpacked(value) for name, value in data.get("kernels", {}).items()}
    return Ranges(
        Origin(images=int(made["images"]), distilled=_text(made.get("distilled", "")), **texts),
        Scales(reads, results, added),
        bias,
        kernels,
    )


def _packed(kernel: F32) -> str:
    return base64.b64encode(kernel.astype("<f4").tobytes()).decode("ascii")


def _unpacked(value: Any) -> F32:
    kernel: F32 = np.frombuffer(base64.b64decode(value["f32"], validate=True), "<f4").astype(np.float32)
    if not np.isfinite(kernel).all():
        raise ValueError("a kernel is not finite")
    return kernel.reshape([int(size) for size in value["shape"]])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _scale(value: Any) -> float:
    if (number := _finite(value)) <= 0:
        raise ValueError(f"the scale {value!r} is not positive")
    return number
