"""TensorRT on the faked GPU, with the tiny network of graphs.py, computed on what lies in the device's memory.

As strict as TensorRT: it reads plans of its own release alone, keeps no shape that it refuses, has sides of -1 before
it knows better, and runs nothing without an address for each tensor, on a stream of its caller's. TensorRT for RTX
refuses GPUs that it isn't made for, and records kernels of any size unless it was asked to compile them for the size
first. What it refuses it says in the log, which it calls with its lock held.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.pixels import F32, U8
from tests.engines.fake_streams import OURS
from tests.engines.graphs import CLASSES, SPEC, logits_of

if TYPE_CHECKING:
    from tests.engines.fake_gpu import FakeGpu

VERSION = "10.13.3.9"
RTX_RUNS_ON = ("sm_75", "sm_86", "sm_89", "sm_120")
MAX_BATCH, MIN_SIDE, MAX_SIDE = 8, 8, 100  # of the faked plan's profile
ALIGNED = 256


def tensorrt(gpu: FakeGpu) -> Any:
    """The package, but for its version."""
    return SimpleNamespace(
        __name__="tensorrt",
        DynamicShapesKernelSpecializationStrategy=SimpleNamespace(LAZY="lazy", EAGER="eager"),
        ILogger=Logger,
        TensorIOMode=SimpleNamespace(INPUT="in"),
        nptype=np.dtype,
        IProfiler=object,
        Runtime=Runtime.of(gpu),
    )


class Logger:
    Severity = SimpleNamespace(ERROR=1)

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class Runtime:
    def __init__(self, gpu: FakeGpu, log: Logger) -> None:
        self.gpu, self.log = gpu, log

    @classmethod
    def of(cls, gpu: FakeGpu) -> Callable[[Logger], Runtime]:
        return lambda log: cls(gpu, log)

    def deserialize_cuda_engine(self, plan: bytes) -> Plan | None:
        self.gpu.need_context()
        assert not gc.isenabled(), "the log may be called here, with TensorRT's lock held"
        rtx = plan.startswith(b"vtrt")
        if rtx and self.gpu.architecture not in RTX_RUNS_ON:
            self.log.log(Logger.Severity.ERROR, "this compute capability is not supported")
            return None
        if not (rtx or plan.startswith(b"ftrt")) or plan[24:28] != bytes(map(int, self.gpu.library.split("."))):
            self.log.log(Logger.Severity.ERROR, "the plan is of another release")
            return None
        return Plan(self.gpu, self.log, rtx=rtx)


class Plan:
    """The faked engine. Its output comes first, which TensorRT allows."""

    num_io_tensors = 2

    def __init__(self, gpu: FakeGpu, log: Logger, *, rtx: bool) -> None:
        self.gpu, self.log, self.rtx = gpu, log, rtx
        self.dtype = np.uint8 if gpu.io == "frames" else np.float32

    def get_tensor_name(self, index: int) -> str:
        return ("out", "in")[index]

    def get_tensor_mode(self, name: str) -> str:
        return name

    def get_tensor_dtype(self, _: str) -> Any:
        return self.dtype

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if self.gpu.io == "frames":
            return {"in": (-1, -1, -1, 3), "out": (-1, -1, -1)}[name]
        return {"in": (-1, 3, -1, -1), "out": (-1, CLASSES, -1, -1)}[name]

    def create_runtime_config(self) -> RuntimeConfig:
        assert self.rtx, "TensorRT has none before 11"
        return RuntimeConfig()

    def create_execution_context(self, runtime_config: RuntimeConfig | None = None) -> Execution:
        self.gpu.need_context()
        return Execution(self, runtime_config or RuntimeConfig())


class RuntimeCache:
    """Kernels by the shape that they were compiled for."""

    def __init__(self) -> None:
        self.kernels: set[str] = set()

    def serialize(self) -> bytes:
        return "\n".join(["ours", *sorted(self.kernels)]).encode()

    def deserialize(self, blob: bytes) -> bool:
        fits = blob.startswith(b"ours")
        self.kernels |= set(blob.decode().splitlines()[1:]) if fits else set()
        return fits


class RuntimeConfig:
    def __init__(self) -> None:
        self.dynamic_shapes_kernel_specialization_strategy = "lazy"
        self.cache = RuntimeCache()

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache()

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True


class Execution:
    def __init__(self, plan: Plan, config: RuntimeConfig) -> None:
        self.plan, self.gpu, self.config = plan, plan.gpu, config
        self.profiler: Any = None
        self.at: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, sides: tuple[int, ...]) -> bool:
        own = self.plan.get_tensor_shape("in")
        if name != "in" or len(sides) != len(own):
            return self.refuse("no such input")
        n, h, w = (side for side, fixed in zip(sides, own, strict=True) if fixed < 0)
        if any(fixed not in (-1, side) for side, fixed in zip(sides, own, strict=True)):
            return self.refuse("another number of channels")
        if not 1 <= n <= MAX_BATCH or not MIN_SIDE <= min(h, w) <= max(h, w) <= MAX_SIDE:
            return self.refuse("a shape outside of the profile")
        self.shapes = {name: sides, "out": (n, h, w) if self.gpu.io == "frames" else (n, CLASSES, h, w)}
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes.get(name) or self.plan.get_tensor_shape(name)

    def is_stream_capturable(self, stream: int) -> bool:
        assert stream == OURS
        return self.gpu.capturable

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in ("in", "out"):
            return self.refuse("no such tensor")
        if type(address) is not int or address % ALIGNED:
            return self.refuse("an address that is no multiple of 256")
        self.at[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.gpu.need_context()
        assert stream == OURS, "the engine puts its work on its own stream"
        if not self.shapes:
            return self.refuse("the input has no shape yet")
        if self.at.keys() != {"in", "out"}:
            return self.refuse("a tensor has no address")
        self.gpu.launches["plain"] += 1
        at, shape = dict(self.at), self.shapes["in"]
        if self.config.dynamic_shapes_kernel_specialization_strategy == "eager":
            self.config.cache.kernels.add(str(shape))
        elif self.plan.rtx and self.gpu.recording is not None:
            self.gpu.fallbacks += 1
        self.gpu.put(lambda: self.infer(at, shape))
        return True

    def refuse(self, why: str) -> bool:
        self.plan.log.log(Logger.Severity.ERROR, why)
        return False

    def infer(self, at: dict[str, int], shape: tuple[int, ...]) -> None:
        self.gpu.inferences += 1
        given = self.gpu.memory[at["in"]]
        result: npt.NDArray[Any]
        if self.gpu.io == "frames":
            result = labels_of(logits_of(given.reshape(shape)))
        else:
            result = logits_of(frames_of(given.view(np.float32).reshape(shape)))
        np.copyto(self.gpu.memory[at["out"]], result.reshape(-1).view(np.uint8))
        if self.profiler is not None:
            self.gpu.profiled += 1
            assert not gc.isenabled(), "it is called with TensorRT's lock held, as the log is"
            for name, ms in (("stem.0.conv/Conv", self.gpu.inferences), ("Reformat", 0.25)):
                self.profiler.report_layer_time(name, ms)


def frames_of(planes: F32) -> U8:
    """The frames that `to_tensor` made `planes` of."""
    channels = planes + np.array(SPEC.input.mean, np.float32).reshape(1, 3, 1, 1)
    frames: F32 = channels[:, np.argsort(SPEC.input.channels)].transpose(0, 2, 3, 1)
    return frames.clip(0, 255).astype(np.uint8)


# What stands in for which class of TensorRT's; OWN has no counterpart there.
STAND_INS: dict[type, str] = {
    Logger: "ILogger",
    Runtime: "Runtime",
    Plan: "ICudaEngine",
    RuntimeCache: "IRuntimeCache",
    RuntimeConfig: "IRuntimeConfig",
    Execution: "IExecutionContext",
}
OWN = {"of", "infer", "refuse"}
