"""The files that consumers are tried with, and what ONNX Runtime makes of the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cgnet_deploy.artifact import IO, read_artifact, sidecar_path
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.api import export
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import Precision

Output = npt.NDArray[np.generic]

CALIBRATION_IMAGES = 32
OTHER_SIZE = (256, 320)  # what a file that leaves the size open is tried with too


@dataclass(frozen=True, slots=True)
class Kind:
    """A column of the page. constant: of weights whose gates and channels are constant in part, else of live ones.

    limit: the least share of equal labels that is right.
    """

    name: str
    precision: Precision = Precision.F32
    constant: bool = False
    prune: bool = False
    batch: int = 1
    dynamic: Dynamic = "none"
    limit: float = 0.99999


KINDS = (
    Kind("f32"),
    Kind("f16", Precision.F16, limit=0.9999),
    Kind("int8", Precision.INT8, limit=0.999),
    Kind("batch 2", batch=2),
    Kind("open N", dynamic="batch"),
    Kind("open N, H, W", dynamic="both"),
    Kind("constant gates", constant=True),
    Kind("pruned", constant=True, prune=True),
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a kind, what it is given, and the labels that ONNX Runtime gives, batch by batch.

    frames: how many were asked for.
    """

    kind: Kind
    io: IO
    path: Path
    sha256: str
    frames: int
    batches: tuple[U8 | F32, ...]
    labels: tuple[U8, ...]


def files(
    kinds: Sequence[Kind], ios: Sequence[IO], live: Path, constant: Path | None, data: str, frames: int, folder: Path
) -> list[File]:
    """Export what is not in `folder` yet. frames: how many of `data`'s split val, evenly spread."""
    made = []
    for kind in kinds:
        checkpoint = constant if kind.constant else live
        if checkpoint is None:
            continue
        for io in ios:
            path = folder / f"{kind.name.replace(' ', '-').replace(',', '')}-{io}.onnx"
            if not sidecar_path(path).exists():
                int8 = (
                    {"calib_data": data, "calib_images": CALIBRATION_IMAGES} if kind.precision is Precision.INT8 else {}
                )
                export(
                    checkpoint,
                    path,
                    precision=kind.precision,
                    io=io,
                    prune=kind.prune,
                    batch=kind.batch,
                    dynamic=kind.dynamic,
                    **int8,  # type: ignore[arg-type]
                )
            made.append(_file(kind, io, path, data, frames))
    return made


def _file(kind: Kind, io: IO, path: Path, data: str, count: int) -> File:
    dataset = open_dataset(data, "val")
    frames = np.stack([dataset.frame(i * len(dataset) // count) for i in range(count // kind.batch * kind.batch)])
    batches: list[U8] = np.split(frames, count // kind.batch)
    if kind.dynamic == "both":
        height, width = OTHER_SIZE
        batches = [*batches, np.ascontiguousarray(frames[:2, :height, :width])]
    with open_engine(f"ort:{path}") as engine:
        labels = tuple(engine.infer(batch) for batch in batches)
    artifact = read_artifact(path)
    given = tuple(to_tensor(batch, artifact.spec.input) if io == "tensor" else batch for batch in batches)
    return File(kind, io, path, artifact.sha256, count, given, labels)


def share(labels: tuple[U8, ...], outputs: Sequence[Output]) -> float:
    """The share of pixels, 0 to 1, on which labels, or the argmax of logits (N, K, H, W), are `labels`."""
    equal = total = 0
    for wanted, output in zip(labels, outputs, strict=True):
        given = output if output.size == wanted.size else output.reshape(len(wanted), -1, *wanted.shape[1:]).argmax(1)
        equal += int((given.reshape(wanted.shape) == wanted).sum())
        total += wanted.size
    return equal / total
