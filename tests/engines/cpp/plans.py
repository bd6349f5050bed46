"""Plans of the stand-in (stand_in/tensorrt.cpp), and what its network gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cgnet_deploy.artifact import IO, Shape, write_artifact
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import Precision
from tests.engines.graphs import CLASSES, SPEC

HEADER = b"ftrt" + bytes(20) + bytes([10, 13, 3, 9])
ONE_SIZE = "1 40 56 1 40 56"


def write_plan(
    folder: Path,
    io: IO = "frames",
    profiles: str = ONE_SIZE,
    shape: Shape = (1, 40, 56),
    *,
    header: bytes = HEADER,
    version: str = "10.13.3.9",
    architecture: str = "sm_90",
    body: str | None = None,
) -> Path:
    """A plan of the stand-in; see stand_in/tensorrt.cpp."""
    count = len(profiles.split()) // 6
    text = f"{io} {CLASSES} {count} {profiles}" if body is None else body
    return write_artifact(
        folder / "cgnet.plan",
        header + text.encode(),
        kind="plan",
        precision=Precision.F16,
        spec=SPEC,
        io=io,
        shape=shape,
        parent_sha256="0" * 64,
        made_with={"tensorrt": version, "architecture": architecture},
    ).path


def labels_of(frames: U8, io: IO) -> U8:
    """What the stand-in's network gives."""
    inputs: npt.NDArray[np.float32] = to_tensor(frames, SPEC.input)
    if io == "frames":
        inputs = frames.transpose(0, 3, 1, 2).astype(np.float32)
    x, y, z = inputs[:, 0], inputs[:, 1], inputs[:, 2]
    scores = np.stack([-np.abs(x + 2 * y + 3 * z - np.float32(97 * (k + 1))) for k in range(CLASSES)], 1)
    labels: U8 = scores.argmax(1).astype(np.uint8)
    return labels
