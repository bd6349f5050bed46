"""One name -> one engine: the backend is told by a prefix (`openvino:cgnet.onnx`), else by the suffix."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from cgnet_deploy.artifact import Shape
from cgnet_deploy.contracts import known_as
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.ncnn import NcnnEngine
from cgnet_deploy.engines.onnxfile import read_onnx
from cgnet_deploy.engines.openvino import Arithmetic, OpenVinoEngine
from cgnet_deploy.engines.ort import OrtEngine
from cgnet_deploy.engines.plan import read_plan
from cgnet_deploy.engines.trt import TensorRTEngine
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.spec import ModelSpec, Precision, Res

BACKENDS = (
    "torch",
    "torch-compile",
    "torch-compile-bf16",
    "torch-graph",
    "torch-graph-max",
    "torch-fast",
    "torch-fast-f16",
    "ort",
    "ort-cuda",
    "openvino",
    "openvino-bf16",
    "ncnn",
    "trt",
    "trt-plain",
)
# What each backend imports; a plan's own header tells which TensorRT it needs.
RUNTIMES = {
    **dict.fromkeys(("torch", "torch-compile", "torch-compile-bf16", "torch-graph", "torch-graph-max"), ("torch",)),
    **dict.fromkeys(("torch-fast", "torch-fast-f16"), ("torch", "triton")),
    **dict.fromkeys(("ort", "ort-cuda"), ("onnxruntime",)),
    **dict.fromkeys(("openvino", "openvino-bf16"), ("openvino",)),
    "ncnn": ("ncnn", "pnnx"),
    **dict.fromkeys(("trt", "trt-plain"), ("pycuda.driver", "cuda.bindings.runtime")),
}
# Run by the CPU alone, with one engine's threads apart from another's.
ON_CPU = ("ort", "openvino", "openvino-bf16")
SUFFIXES = {".pth": "torch", ".pt": "torch", ".onnx": "ort", ".plan": "trt", ".engine": "trt"}


def open_engine(
    ref: str,
    *,
    res: Res | None = None,
    batch: int | None = None,
    threads: int | None = None,
    contract: str | None = None,
    profile: bool = False,
) -> Engine:
    """Open the file that `ref` names, `PATH` or `BACKEND:PATH`.

    A checkpoint without a backend runs by our own kernels where there are a GPU and Triton, and by plain PyTorch
    elsewhere; both compute in f32, and `engine.info` says which it is.

    res, batch: the sizes that frames will have; None leaves what the file leaves open. threads: on the CPU.
    contract: the input contract; it overrides a checkpoint's, and a file made of one must have been made for it.
    profile: so that `Engine.profile` can tell the time of each layer, which makes it slower.

    Raises UsageError for an unknown backend, and for sizes or a contract that the file was not made for,
    EngineUnavailable if this machine can't run it, and what the readers raise: ArtifactError, CheckpointError.
    """
    backend, path = backend_and_path(ref)
    wanted = (batch, *(res or (None, None)))
    match backend:
        case "torch" | "torch-compile" | "torch-compile-bf16":
            require("torch", extra="export")
            from cgnet_deploy.checkpoint.reading import load_checkpoint
            from cgnet_deploy.engines.fast.choice import fast_or_none
            from cgnet_deploy.engines.torch import TorchEngine

            checkpoint = load_checkpoint(path, contract=contract)
            if path == Path(ref) and not profile and (engine := fast_or_none(checkpoint, wanted)):
                return engine
            compiled, bf16 = "compile" in backend, backend.endswith("bf16")
            return TorchEngine(checkpoint, wanted, threads=threads, compiled=compiled, bf16=bf16)
        case "torch-graph" | "torch-graph-max":
            require("torch", extra="export")
            from cgnet_deploy.checkpoint.reading import load_checkpoint
            from cgnet_deploy.engines.torchgraph import TorchGraphEngine

            checkpoint = load_checkpoint(path, contract=contract)
            return TorchGraphEngine(checkpoint, wanted, compiled=backend.endswith("max"))
        case "torch-fast" | "torch-fast-f16":
            require("torch", extra="export")
            require("triton", extra="fast")
            from cgnet_deploy.checkpoint.reading import load_checkpoint
            from cgnet_deploy.engines.fast.engine import FastEngine

            precision = Precision.F16 if backend.endswith("f16") else Precision.F32
            return FastEngine(load_checkpoint(path, contract=contract), wanted, precision=precision)
        case "trt" | "trt-plain":
            plan = read_plan(path)
            check_contract(ref, plan.artifact.spec, contract)
            return TensorRTEngine(plan, narrowed(plan.artifact.shape, wanted, ref), graph=backend == "trt")
    file = read_onnx(path, contract)
    check_contract(ref, file.spec, contract)
    shape = narrowed(file.shape, wanted, ref)
    if backend.startswith("openvino"):
        arithmetic: Arithmetic = "bf16" if backend.endswith("bf16") else "f32"
        return OpenVinoEngine(file, shape, threads=threads, arithmetic=arithmetic, profile=profile)
    if backend == "ncnn":
        return NcnnEngine(file, shape, threads=threads)
    return OrtEngine(file, shape, threads=threads, cuda=backend.endswith("cuda"), profile=profile)


def backend_and_path(ref: str) -> tuple[str, Path]:
    """`openvino:cgnet.onnx` -> ("openvino", cgnet.onnx); without a prefix the suffix decides."""
    if match := re.fullmatch(r"([\w-]+):(.+)", ref):
        backend, path = match[1], Path(match[2])
        if backend not in BACKENDS:
            raise UsageError(f"{ref}: no backend is called {backend!r}; {_nearest(backend, BACKENDS)}")
        return backend, path
    path = Path(ref)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{ref}: the suffix {suffix!r} tells no backend; {_nearest(suffix, SUFFIXES)} "
            f"Or say which: {', '.join(f'{name}:{ref}' for name in ('torch', 'ort'))}, ..."
        )
    return SUFFIXES[suffix], path


def narrowed(own: Shape, wanted: Shape, ref: str) -> Shape:
    """What is `wanted` of a file's `own` (N, H, W). Raises UsageError where its sides are fixed to others."""
    if any(None not in (side, want) and side != want for side, want in zip(own, wanted, strict=True)):
        raise UsageError(f"{ref} takes {_spelled(own)}, not {_spelled(wanted)}; export it again for the size you want")
    n, h, w = (want if side is None else side for side, want in zip(own, wanted, strict=True))
    return n, h, w


def check_contract(ref: str, spec: ModelSpec, contract: str | None) -> None:
    """Raise UsageError if a file that was made for one input contract is asked to run by another."""
    if contract is not None and (own := known_as(spec.input)) != contract:
        raise UsageError(f"{ref} was made for the input contract {own}, not {contract}; export it again for that")


def _spelled(shape: Shape) -> str:
    return " ".join(f"{name}={'any' if side is None else side}" for name, side in zip("NHW", shape, strict=True))


def _nearest(given: str, known: tuple[str, ...] | dict[str, str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}."
