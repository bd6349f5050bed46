"""Who runs in the matrix, at which sizes, and what each needs; what is missing is shown before anything starts."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cgnet_deploy.engines.backends import BACKENDS, Backend
from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.trtapi import is_installed, load_api, rtx_architectures
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.spec import Precision, Res


class Cell(NamedTuple):
    """One size and one batch."""

    res: Res
    batch: int

    def __str__(self) -> str:
        return f"{self.res}x{self.batch}"


# The one that the aims are stated for comes first, then by how likely a user has it.
CELLS = tuple(
    Cell(Res(h, w), batch) for batch in (1, 8) for h, w in ((1024, 2048), (512, 1024), (360, 480), (680, 680))
)
HEADLINE = CELLS[0]


@dataclass(frozen=True, slots=True)
class Contender:
    """A backend on a file of one precision."""

    backend: Backend
    precision: Precision

    def engine(self, ckpt: Path, files: Path, cell: Cell) -> str:
        """What `open_engine` takes."""
        return (
            f"{self.backend.name}:{ckpt if self.backend.runtime.reads == 'checkpoint' else file_of(self, files, cell)}"
        )


def file_of(contender: Contender, files: Path, cell: Cell) -> Path:
    return files / f"{contender.precision.value}_{cell}.{contender.backend.runtime.reads}"


# What compiles for minutes comes last, because it may take all the time that is left.
CONTENDERS = tuple(
    Contender(backend, precision)
    for backend in sorted(BACKENDS, key=lambda backend: backend.slow_start)
    for precision in backend.gpu_matrix
)


def gpu_missing() -> str:
    """Why no NVIDIA GPU can be used here; empty if one can."""
    try:
        find_gpu()
    except EngineUnavailable as error:
        return str(error)
    return ""


def builder_missing() -> str:
    """What to install to build plans that run here; empty if it is there."""
    if is_installed("tensorrt"):
        return ""
    try:
        architecture = find_gpu().architecture
    except EngineUnavailable:
        architecture = ""
    if not is_installed("rtx"):
        return "tensorrt or tensorrt_rtx"
    supported = rtx_architectures(load_api("rtx"))
    if not architecture or architecture in supported:
        return ""
    return f"tensorrt (tensorrt_rtx runs on {', '.join(supported)}, not on {architecture})"


def missing(contender: Contender) -> str:
    """Why this one can't run here, as far as is known without starting it; empty if it may."""
    backend = contender.backend
    reasons = [gpu_missing()]
    modules = dict.fromkeys(name.partition(".")[0] for name in backend.runtime.imports)
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if backend.runtime.reads == "plan" and (why := builder_missing()):
        absent.append(why)
    if absent:
        reasons.append(f"not installed: {', '.join(absent)}")
    elif backend.runtime.reads == "onnx" and not list(metadata.distributions(name="onnxruntime-gpu")):
        reasons.append("this ONNX Runtime has no CUDA: onnxruntime-gpu is not installed")
    return "; ".join(filter(None, reasons))
