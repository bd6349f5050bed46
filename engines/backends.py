"""The table of backends: whatever runs a file, one entry each. A new backend is its own file and an entry here.

`open_engine`, cgnet-doctor, the recorded environment, the help of --engine, the GPU matrix and the folder for Triton
Inference Server read it. Importing it imports no runtime: a backend's module is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from cgnet_deploy.errors import require
from cgnet_deploy.spec import Precision

if TYPE_CHECKING:  # NumPy and OpenCV: --help needs neither
    from cgnet_deploy.engines.base import Engine
    from cgnet_deploy.engines.request import Request


@dataclass(frozen=True, slots=True)
class Triton:
    """How Triton Inference Server calls a runtime, and on what it runs its instances."""

    name: str
    instances: Literal["KIND_AUTO", "KIND_CPU", "KIND_GPU"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs files of one kind, and the module of this package that asks it to.

    module: has `open(request, **options)` and `probe(**options)`. imports: the modules that it runs by. packages: the
    distributions whose versions are recorded. extra: what installs them. own_threads: engines run side by side, each
    with CPU threads of its own. runs_on: "gpu" is NVIDIA's, "intel" a GPU or NPU of Intel's.
    """

    module: str
    reads: Literal["checkpoint", "onnx", "plan"]
    runs_on: Literal["cpu", "gpu", "either", "intel"]
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    own_threads: bool = False
    triton: Triton | None = None

    def load(self) -> ModuleType:
        """The module. Raises MissingPackage."""
        return require(f"cgnet_deploy.engines.{self.module}", self.extra)


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One way to run a file.

    name: the prefix that chooses it, as in openvino:cgnet.onnx. title: what people call it. options: of its module's
    `open` and `probe`. suffixes: of the files that it runs without a prefix. probed_as: the backend
    that needs the same of a machine, and stands for this one in cgnet-doctor. gpu_matrix: the precisions in which
    `make gpu` measures it.
    slow_start: it compiles for minutes, so it comes last.
    """

    name: str
    title: str
    runtime: Runtime
    options: Mapping[str, object] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    probed_as: str = ""
    gpu_matrix: tuple[Precision, ...] = ()
    slow_start: bool = False

    def open(self, request: Request) -> Engine:
        """The engine. Raises MissingPackage, and what the backend's module does."""
        engine: Engine = self.runtime.load().open(request, **self.options)
        return engine

    def probe(self) -> str:
        """Versions and devices, if it can run on this machine. Raises CgnetError with what is missing."""
        return BY_NAME[self.probed_as].probe() if self.probed_as else str(self.runtime.load().probe(**self.options))


TORCH = Runtime("torch", "checkpoint", "either", ("torch",), ("torch",), "export")
GRAPH = Runtime("torchgraph", "checkpoint", "gpu", ("torch",), ("torch",), "export")
GRAPH_MAX = Runtime("torchgraph", "checkpoint", "gpu", ("torch", "triton"), ("torch", "triton"), "fast")
FAST = Runtime("fast.engine", "checkpoint", "gpu", ("torch", "triton"), ("torch", "triton"), "fast")
ORT = Runtime(
    "ort", "onnx", "cpu", ("onnxruntime",), ("onnxruntime", "onnx"), "ort", True, Triton("onnxruntime", "KIND_AUTO")
)
ORT_CUDA = Runtime(
    "ort", "onnx", "gpu", ("onnxruntime",), ("onnxruntime-gpu", "cuda-python", "cuda-bindings", "onnx"), "gpu"
)
ORT_RTX = Runtime(
    "ortrtx",
    "onnx",
    "gpu",
    ("onnxruntime", "onnxruntime_ep_nv_tensorrt_rtx"),
    ("onnxruntime", "onnxruntime-ep-nv-tensorrt-rtx", "onnx"),
    "ort-rtx",
)
OPENVINO = Runtime(
    "openvino", "onnx", "cpu", ("openvino",), ("openvino",), "openvino", True, Triton("openvino", "KIND_CPU")
)
OPENVINO_INTEL = Runtime("openvino", "onnx", "intel", ("openvino",), ("openvino",), "openvino")
OPENCV = Runtime("opencv", "onnx", "cpu", ("cv2",), ("opencv-python",), "")
NATIVE = Runtime("nativecpu", "onnx", "cpu", ("cgnet_native",), ("cgnet-native",), "", True)
NCNN = Runtime("ncnn", "onnx", "cpu", ("ncnn", "pnnx"), ("ncnn", "pnnx"), "peers")
TENSORRT = Runtime(
    "trt",
    "plan",
    "gpu",
    ("pycuda.driver", "cuda.bindings.runtime"),  # a plan's header says which TensorRT it needs
    ("tensorrt", "tensorrt_rtx", "pycuda", "cuda-python", "cuda-bindings"),
    "trt",
    triton=Triton("tensorrt", "KIND_GPU"),
)
EVERY = F32, F16, INT8 = Precision.F32, Precision.F16, Precision.INT8
COMPILED = {"compiled": True}

BACKENDS: tuple[Backend, ...] = (
    Backend("torch", "PyTorch", TORCH, suffixes=(".pth", ".pt"), gpu_matrix=(F32,)),
    Backend("torch-compile", "torch.compile", TORCH, COMPILED, probed_as="torch", slow_start=True),
    Backend(
        "torch-compile-bf16",
        "torch.compile, bf16",
        TORCH,
        COMPILED | {"bf16": True},
        probed_as="torch",
        slow_start=True,
    ),
    Backend("torch-graph", "PyTorch, channels last, CUDA graph", GRAPH, gpu_matrix=(F16,)),
    Backend(
        "torch-graph-max",
        "torch.compile, max-autotune, CUDA graph",
        GRAPH_MAX,
        COMPILED,
        probed_as="torch-graph",
        gpu_matrix=(F16,),
        slow_start=True,
    ),
    Backend("torch-fast", "our Triton kernels, CUDA graph", FAST, {"precision": F32}, gpu_matrix=(F32,)),
    Backend(
        "torch-fast-f16",
        "our Triton kernels, CUDA graph",
        FAST,
        {"precision": F16},
        probed_as="torch-fast",
        gpu_matrix=(F16,),
    ),
    Backend("ort", "ONNX Runtime", ORT, suffixes=(".onnx",)),
    Backend("ort-cuda", "ONNX Runtime, CUDA", ORT_CUDA, {"cuda": True}, gpu_matrix=(F32, F16)),
    Backend("ort-rtx", "ONNX Runtime, TensorRT for RTX", ORT_RTX),
    Backend("openvino", "OpenVINO", OPENVINO),
    Backend("openvino-bf16", "OpenVINO, bf16", OPENVINO, {"arithmetic": "bf16"}),
    Backend("openvino-f16", "OpenVINO, f16", OPENVINO, {"arithmetic": "f16"}),
    Backend("openvino-gpu", "OpenVINO on an Intel GPU, f16", OPENVINO_INTEL, {"arithmetic": "f16", "device": "GPU"}),
    Backend("openvino-npu", "OpenVINO on an Intel NPU, f16", OPENVINO_INTEL, {"arithmetic": "f16", "device": "NPU"}),
    Backend("opencv", "OpenCV", OPENCV),
    Backend("native", "our CPU engine", NATIVE),
    Backend("native-bf16", "our CPU engine, bf16", NATIVE, {"arithmetic": "bf16"}),
    Backend("ncnn", "ncnn", NCNN),
    Backend("trt", "TensorRT", TENSORRT, suffixes=(".plan", ".engine"), gpu_matrix=EVERY),
    Backend("trt-plain", "TensorRT, no CUDA graph", TENSORRT, {"graph": False}, probed_as="trt", gpu_matrix=EVERY),
)
RUNTIMES = tuple(dict.fromkeys(backend.runtime for backend in BACKENDS))
BY_NAME = {backend.name: backend for backend in BACKENDS}
BY_SUFFIX = {suffix: backend for backend in BACKENDS for suffix in backend.suffixes}
PACKAGES = tuple(dict.fromkeys(package for runtime in RUNTIMES for package in runtime.packages))

HELP = (
    f"Backends: {', '.join(BY_NAME)}; one is chosen by a prefix, as in openvino:cgnet.onnx, else by the suffix: "
    + ", ".join(f"{suffix} {backend.title}" for suffix, backend in BY_SUFFIX.items())
)
