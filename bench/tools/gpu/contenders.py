"""Who runs in the matrix, at which sizes, and what each needs; what is missing is told before anything is started."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.open import BACKENDS
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.spec import Precision, Res

Runs = Literal["checkpoint", "onnx", "plan"]


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
    """backend: a prefix of `open_engine`. needs: modules, beside what reads its file."""

    name: str
    backend: str
    precision: Precision
    runs: Runs
    needs: tuple[str, ...]
    compiles: bool = False

    def engine(self, ckpt: Path, files: Path, cell: Cell) -> str:
        """What `open_engine` is given."""
        return f"{self.backend}:{ckpt if self.runs == 'checkpoint' else file_of(self, files, cell)}"


def file_of(contender: Contender, files: Path, cell: Cell) -> Path:
    return files / f"{contender.precision.value}_{cell}.{contender.runs}"


F32, F16, INT8 = Precision.F32, Precision.F16, Precision.INT8
TORCH, ORT, TRT = ("torch",), ("onnxruntime",), ("pycuda", "cuda")
CONTENDERS = (
    Contender("PyTorch, eager", "torch", F32, "checkpoint", TORCH),
    Contender("PyTorch, channels last, CUDA graph", "torch-graph", F16, "checkpoint", TORCH),
    Contender("our kernels in Triton, CUDA graph", "torch-fast", F32, "checkpoint", (*TORCH, "triton")),
    Contender("our kernels in Triton, CUDA graph", "torch-fast-f16", F16, "checkpoint", (*TORCH, "triton")),
    *(Contender("ONNX Runtime, CUDA", "ort-cuda", precision, "onnx", ORT) for precision in (F32, F16)),
    *(
        Contender(f"TensorRT, {'CUDA graph' if backend == 'trt' else 'no graph'}", backend, precision, "plan", TRT)
        for backend in ("trt", "trt-plain")
        for precision in (F32, F16, INT8)
    ),
    # The last, because it may take all the time that is left.
    Contender(
        "torch.compile, max-autotune, CUDA graph", "torch-graph-max", F16, "checkpoint", (*TORCH, "triton"), True
    ),
)


def gpu_missing() -> str:
    """Why no NVIDIA GPU can be used here; empty if one can."""
    try:
        find_gpu()
    except EngineUnavailable as error:
        return str(error)
    return ""


def missing(contender: Contender) -> str:
    """Why this one can't run here, as far as can be told without starting it; empty if it may."""
    reasons = [gpu_missing()]
    absent = [name for name in contender.needs if importlib.util.find_spec(name) is None]
    if contender.runs == "plan" and not any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")):
        absent.append("tensorrt or tensorrt_rtx")
    if absent:
        reasons.append(f"not installed: {', '.join(absent)}")
    elif contender.runs == "onnx" and not _has_cuda():
        reasons.append("this ONNX Runtime has no CUDA: onnxruntime-gpu is not installed")
    if contender.backend not in BACKENDS:
        reasons.append(f"this version of cgnet-deploy has no backend {contender.backend}")
    return "; ".join(filter(None, reasons))


def _has_cuda() -> bool:
    import importlib.metadata as metadata

    return bool(list(metadata.distributions(name="onnxruntime-gpu")))
