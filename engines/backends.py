"""The table of backends: whatever runs a file, one entry each. A new backend is its own file and an entry here.

`open_engine`, cgnet-doctor, the recorded environment, the help of --engine, the GPU matrix and the folder for Triton
Inference Server read it. Importing it imports no runtime: a backend's module is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import require
from cgnet_deploy.spec import Precision

F32, F16, INT8 = Precision.F32, Precision.F16, Precision.INT8


@dataclass(frozen=True, slots=True)
class Triton:
    """How Triton Inference Server calls a backend, and on what it runs its instances."""

    name: str
    instances: Literal["KIND_AUTO", "KIND_CPU", "KIND_GPU"]


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One way to run a file.

    name: the prefix that chooses it, as in openvino:cgnet.onnx. title: what people call it.
    reads, suffixes: the kind of file, and the names that need no prefix.
    module, options: `open(request, **options)` and `probe(**options)` of cgnet_deploy.engines.MODULE.
    imports, packages, extra: the modules that run it, the distributions whose versions are recorded, what installs it.
    runs_on: where it can run. own_threads: engines run side by side, each with CPU threads of its own.
    variant_of: the backend that needs the same of a machine, and stands for this one in cgnet-doctor.
    gpu_matrix: the precisions in which `make gpu` measures it. slow_start: it compiles for minutes, so it comes last.
    """

    name: str
    title: str
    reads: Literal["checkpoint", "onnx", "plan"]
    module: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    runs_on: Literal["cpu", "gpu", "either"]
    options: Mapping[str, object] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    own_threads: bool = False
    variant_of: str = ""
    gpu_matrix: tuple[Precision, ...] = ()
    slow_start: bool = False
    triton: Triton | None = None

    def open(self, request: Request) -> Engine:
        """The engine. Raises MissingPackage, and what the backend's module does."""
        engine: Engine = require(f"cgnet_deploy.engines.{self.module}", self.extra).open(request, **self.options)
        return engine

    def probe(self) -> str:
        """Versions and devices, if it can run on this machine. Raises CgnetError with what is missing."""
        if self.variant_of:
            return BY_NAME[self.variant_of].probe()
        return str(require(f"cgnet_deploy.engines.{self.module}", self.extra).probe(**self.options))


BACKENDS: tuple[Backend, ...] = (
    Backend(
        name="torch",
        title="PyTorch",
        reads="checkpoint",
        suffixes=(".pth", ".pt"),
        module="torch",
        imports=("torch",),
        packages=("torch",),
        extra="export",
        runs_on="either",
        gpu_matrix=(F32,),
    ),
    Backend(
        name="torch-compile",
        title="torch.compile",
        reads="checkpoint",
        module="torch",
        options={"compiled": True},
        imports=("torch",),
        packages=("torch", "triton"),
        extra="export",
        runs_on="either",
        variant_of="torch",
        slow_start=True,
    ),
    Backend(
        name="torch-compile-bf16",
        title="torch.compile in bf16",
        reads="checkpoint",
        module="torch",
        options={"compiled": True, "bf16": True},
        imports=("torch",),
        packages=("torch", "triton"),
        extra="export",
        runs_on="either",
        variant_of="torch",
        slow_start=True,
    ),
    Backend(
        name="torch-graph",
        title="PyTorch, channels last, CUDA graph",
        reads="checkpoint",
        module="torchgraph",
        imports=("torch",),
        packages=("torch",),
        extra="export",
        runs_on="gpu",
        gpu_matrix=(F16,),
    ),
    Backend(
        name="torch-graph-max",
        title="torch.compile, max-autotune, CUDA graph",
        reads="checkpoint",
        module="torchgraph",
        options={"compiled": True},
        imports=("torch", "triton"),
        packages=("torch", "triton"),
        extra="fast",
        runs_on="gpu",
        variant_of="torch-graph",
        gpu_matrix=(F16,),
        slow_start=True,
    ),
    Backend(
        name="torch-fast",
        title="our kernels in Triton, CUDA graph",
        reads="checkpoint",
        module="fast.engine",
        options={"precision": F32},
        imports=("torch", "triton"),
        packages=("torch", "triton"),
        extra="fast",
        runs_on="gpu",
        gpu_matrix=(F32,),
    ),
    Backend(
        name="torch-fast-f16",
        title="our kernels in Triton, CUDA graph",
        reads="checkpoint",
        module="fast.engine",
        options={"precision": F16},
        imports=("torch", "triton"),
        packages=("torch", "triton"),
        extra="fast",
        runs_on="gpu",
        variant_of="torch-fast",
        gpu_matrix=(F16,),
    ),
    Backend(
        name="ort",
        title="ONNX Runtime",
        reads="onnx",
        suffixes=(".onnx",),
        module="ort",
        imports=("onnxruntime",),
        packages=("onnxruntime", "onnx"),
        extra="ort",
        runs_on="cpu",
        own_threads=True,
        triton=Triton("onnxruntime", "KIND_AUTO"),
    ),
    Backend(
        name="ort-cuda",
        title="ONNX Runtime, CUDA",
        reads="onnx",
        module="ort",
        options={"cuda": True},
        imports=("onnxruntime",),
        packages=("onnxruntime-gpu", "cuda-python", "onnx"),
        extra="gpu",
        runs_on="gpu",
        gpu_matrix=(F32, F16),
    ),
    Backend(
        name="openvino",
        title="OpenVINO",
        reads="onnx",
        module="openvino",
        imports=("openvino",),
        packages=("openvino",),
        extra="openvino",
        runs_on="cpu",
        own_threads=True,
        triton=Triton("openvino", "KIND_CPU"),
    ),
    Backend(
        name="openvino-bf16",
        title="OpenVINO in bf16",
        reads="onnx",
        module="openvino",
        options={"arithmetic": "bf16"},
        imports=("openvino",),
        packages=("openvino",),
        extra="openvino",
        runs_on="cpu",
        own_threads=True,
    ),
    Backend(
        name="ncnn",
        title="ncnn",
        reads="onnx",
        module="ncnn",
        imports=("ncnn", "pnnx"),
        packages=("ncnn", "pnnx"),
        extra="peers",
        runs_on="cpu",
    ),
    Backend(
        name="trt",
        title="TensorRT",
        reads="plan",
        suffixes=(".plan", ".engine"),
        module="trt",
        imports=("pycuda.driver", "cuda.bindings.runtime"),  # a plan's header says which TensorRT it needs
        packages=("tensorrt", "tensorrt_rtx", "pycuda", "cuda-python"),
        extra="trt",
        runs_on="gpu",
        gpu_matrix=(F32, F16, INT8),
        triton=Triton("tensorrt", "KIND_GPU"),
    ),
    Backend(
        name="trt-plain",
        title="TensorRT, no CUDA graph",
        reads="plan",
        module="trt",
        options={"graph": False},
        imports=("pycuda.driver", "cuda.bindings.runtime"),
        packages=("tensorrt", "tensorrt_rtx", "pycuda", "cuda-python"),
        extra="trt",
        runs_on="gpu",
        variant_of="trt",
        gpu_matrix=(F32, F16, INT8),
    ),
)
BY_NAME = {backend.name: backend for backend in BACKENDS}
BY_SUFFIX = {suffix: backend for backend in BACKENDS for suffix in backend.suffixes}
PACKAGES = tuple(dict.fromkeys(package for backend in BACKENDS for package in backend.packages))

HELP = (
    f"Backends: {', '.join(BY_NAME)}; one is chosen by a prefix, as in openvino:cgnet.onnx, else by the suffix: "
    + ", ".join(f"{suffix} is {backend.title}" for suffix, backend in BY_SUFFIX.items())
)
