"""A GPU made of NumPy, for testing what our engine asks of CUDA and TensorRT, and in which order.

It stands in for pycuda, cuda-python and TensorRT as far as the engine uses them, and is as strict as they are:
nothing works without a context that is current in the calling thread, and what pycuda owns leaks where another thread
lets go of it without one; a stream does its work as late as it may, when somebody waits for it, so a missing wait shows
in the labels; freed memory is gone, pinned memory too; a graph does what was recorded, at the recorded addresses, and
nothing may be allocated or waited for meanwhile; TensorRT keeps no shape that it refuses, has sides of -1 before it
knows better, and runs nothing without an address for each tensor. TensorRT for RTX refuses GPUs that it isn't made for,
and records kernels of any size unless it was asked to compile them for the size first.
The network is the tiny one of graphs.py, computed on what lies in the faked device's memory.
"""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.artifact import IO
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.pixels import F32, U8
from tests.engines.fake_streams import INVALID_HANDLE, OURS, Streams
from tests.engines.graphs import CLASSES, SPEC, logits_of
from tests.engines.ptx import Kernel

Array = npt.NDArray[Any]
Work = Callable[[], None]
VERSION = "10.13.3.9"
NON_BLOCKING = 1
RTX_RUNS_ON = ("sm_75", "sm_86", "sm_89", "sm_120")
MAX_SIDE = 100  # of the faked plan's profile


class FakeGpu:
    """Attributes `cuda`, `cudart` and `trt` stand in for pycuda.driver, cuda.bindings.runtime and tensorrt."""

    def __init__(self, io: IO, *, capturable: bool = True, architecture: str = "sm_90") -> None:
        self.io: IO = io
        self.capturable = capturable
        self.architecture = architecture
        self.stacks: Counter[int] = Counter()  # contexts of each thread
        self.leaked: list[str] = []
        self.stream_flags: list[int] = []
        self.recorder = 0  # the thread that is recording
        self.broken = ""  # what was done during a recording that may not be
        self.fallbacks = 0  # recorded kernels that were not made for the size
        self.memory: dict[int, U8] = {}
        self.addresses = itertools.count(1 << 20, 1 << 20)
        self.queue: list[Work] = []  # of the engine's stream
        self.streams = Streams(self)
        self.recording: list[Work] | None = None
        self.graphs = 0
        self.launches = {"plain": 0, "graph": 0}
        self.inferences = 0
        self.profiled = 0  # inferences
        self.cuda = SimpleNamespace(
            init=lambda: None,
            Device=lambda _: SimpleNamespace(retain_primary_context=lambda: Context(self)),
            Stream=lambda flags=0: Stream(self, flags),
            Event=lambda: Event(self),
            MemoryError=MemoryError,
            mem_alloc=self.mem_alloc,
            pagelocked_empty=self.pagelocked_empty,
            memcpy_htod_async=self.upload,
            memcpy_dtoh_async=self.download,
            module_from_buffer=lambda text: Module(self, text),
        )
        self.cudart: Any = SimpleNamespace(
            cudaError_t=SimpleNamespace(cudaSuccess="success", cudaErrorInvalidResourceHandle=INVALID_HANDLE),
            cudaStreamCaptureMode=SimpleNamespace(cudaStreamCaptureModeThreadLocal=1),
            cudaStreamBeginCapture=self.begin_capture,
            cudaStreamEndCapture=self.end_capture,
            cudaGraphInstantiate=lambda graph, _: ("success", graph),
            cudaGraphDestroy=lambda _: ("success",),
            cudaGraphLaunch=self.launch_graph,
            cudaGraphExecDestroy=self.destroy_graph,
            cudaGetLastError=lambda: ("success",),
            **self.streams.calls(),
        )
        self.trt = SimpleNamespace(
            __name__="tensorrt",
            __version__=VERSION,
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(LAZY="lazy", EAGER="eager"),
            ILogger=Logger,
            TensorIOMode=SimpleNamespace(INPUT="in"),
            nptype=np.dtype,
            IProfiler=object,
            Runtime=Runtime.of(self),
        )

    @property
    def contexts(self) -> int:
        """Of the calling thread."""
        return self.stacks[threading.get_ident()]

    @contexts.setter
    def contexts(self, depth: int) -> None:
        self.stacks[threading.get_ident()] = depth

    def need_context(self) -> None:
        assert self.contexts, "no context is current"

    def not_recorded(self, what: str) -> None:
        """What ends a recording of this thread with an error."""
        self.need_context()
        if self.recording is not None and threading.get_ident() == self.recorder:
            self.broken = what

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self.not_recorded("pinning memory")
        return np.asarray(Pinned(self, shape, dtype))

    def put(self, work: Work) -> None:
        self.need_context()
        (self.queue if self.recording is None else self.recording).append(work)

    def drain(self, upto: int | None = None) -> None:
        self.not_recorded("waiting")
        for _ in range(len(self.queue) if upto is None else upto):
            self.queue.pop(0)()

    def mem_alloc(self, nbytes: int) -> Memory:
        self.not_recorded("allocating")
        address = next(self.addresses)
        self.memory[address] = np.zeros(nbytes, np.uint8)
        return Memory(self, address)

    def upload(self, to: Memory, host: Array, _: Stream) -> None:
        pinned = still_there(host)
        self.put(lambda: np.copyto(self.memory[to.address], pinned()))

    def download(self, host: Array, source: Memory, _: Stream) -> None:
        pinned = still_there(host)
        self.put(lambda: np.copyto(pinned(), self.memory[source.address]))

    def begin_capture(self, *_: object) -> tuple[str]:
        assert not self.queue, "the first run was not waited for"
        assert self.recording is None, "the stream is recording already"
        self.recording, self.recorder, self.broken = [], threading.get_ident(), ""
        return ("success",)

    def end_capture(self, _: int) -> tuple[str, Any]:
        if threading.get_ident() != self.recorder:
            return ("cudaErrorStreamCaptureWrongThread", None)
        graph, self.recording = self.recording, None
        assert not self.broken, f"{self.broken} ends a recording"
        self.graphs += self.capturable
        return ("success", graph) if self.capturable else ("cudaErrorStreamCaptureUnsupported", None)

    def launch_graph(self, graph: list[Work], _: int) -> tuple[str]:
        self.launches["graph"] += 1
        for work in graph:
            self.put(work)
        return ("success",)

    def destroy_graph(self, _: Any) -> tuple[str]:
        self.need_context()
        self.graphs -= 1
        return ("success",)


class Context:
    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def push(self) -> None:
        self.gpu.contexts += 1

    def pop(self) -> None:
        self.gpu.need_context()
        self.gpu.contexts -= 1


class Owned:
    """What pycuda frees when it is let go of: in the thread that made it, or where the context is current."""

    def __init__(self, gpu: FakeGpu) -> None:
        gpu.need_context()
        self.gpu, self.thread = gpu, threading.get_ident()

    def __del__(self) -> None:
        if threading.get_ident() != self.thread and not self.gpu.contexts:
            self.gpu.leaked.append(type(self).__name__)


class Pinned(Owned):
    """Memory of the host, through NumPy's own interface: an array on it keeps it."""

    def __init__(self, gpu: FakeGpu, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(gpu)
        assert min(shape) >= 0, f"{shape} is no shape yet"
        self.content = np.empty(shape, dtype)
        self.__array_interface__ = self.content.__array_interface__


def still_there(host: Array) -> Callable[[], U8]:
    """The bytes of a pinned array, when they are asked for: a transfer does not keep what it reads."""
    owner: object = host.base
    assert isinstance(owner, Pinned), "only pinned memory is copied without waiting"
    assert host.flags.c_contiguous
    block = weakref.ref(owner)

    def content() -> U8:
        pinned = block()
        assert pinned is not None, "the pinned memory was freed before the transfer"
        array: U8 = pinned.content.reshape(-1).view(np.uint8)
        return array

    return content


class Stream(Owned):
    handle = OURS

    def __init__(self, gpu: FakeGpu, flags: int) -> None:
        super().__init__(gpu)
        gpu.stream_flags.append(flags)

    def synchronize(self) -> None:
        self.gpu.drain()


class Event(Owned):
    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__(gpu)
        self.reached = True

    def record(self, _: Stream) -> None:
        self.reached = False
        self.gpu.put(self.reach)
        self.mark = self.gpu.queue[-1]

    def reach(self) -> None:
        self.reached, self.inferences = True, self.gpu.inferences

    def synchronize(self) -> None:
        self.gpu.not_recorded("waiting")
        if not self.reached:
            self.gpu.drain(self.gpu.queue.index(self.mark) + 1)

    def time_since(self, start: Event) -> float:
        """Milliseconds: a quarter for every inference between the two."""
        assert start.reached
        assert self.reached
        return (self.inferences - start.inferences) / 4


class Memory(Owned):
    def __init__(self, gpu: FakeGpu, address: int) -> None:
        super().__init__(gpu)
        self.address = address

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        self.gpu.need_context()
        del self.gpu.memory[self.address]


class Module(Owned):
    """Of PTX, which ends with a zero."""

    def __init__(self, gpu: FakeGpu, text: bytes) -> None:
        super().__init__(gpu)
        gpu.not_recorded("loading a module")
        assert text.endswith(b"\0")
        self.text = text[:-1].decode("ascii")

    def get_function(self, name: str) -> Function:
        return Function(self.gpu, Kernel(self.text, name))


class Function(Owned):
    def __init__(self, gpu: FakeGpu, kernel: Kernel) -> None:
        super().__init__(gpu)
        self.kernel, self.letters = kernel, ""

    def prepare(self, letters: str) -> None:
        self.letters = letters

    def prepared_async_call(
        self, grid: tuple[int, int], block: tuple[int, int, int], stream: Stream, *values: int
    ) -> None:
        assert stream.handle == OURS
        given = self.kernel.packed(self.letters, values)
        self.gpu.put(lambda: self.kernel.run(grid, block, given, self.gpu.streams))


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
        if plan.startswith(b"vtrt") and self.gpu.architecture not in RTX_RUNS_ON:
            self.log.log(Logger.Severity.ERROR, "this compute capability is not supported")
            return None
        return Plan(self.gpu, rtx=plan.startswith(b"vtrt"))


class Plan:
    """The faked engine. Its output comes first, which TensorRT allows."""

    num_io_tensors = 2

    def __init__(self, gpu: FakeGpu, *, rtx: bool) -> None:
        self.gpu = gpu
        self.rtx = rtx
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
        n, *others = sides
        h, w = others[:2] if self.gpu.io == "frames" else others[1:]
        if max(h, w) > MAX_SIDE:
            return False
        self.shapes = {name: sides, "out": (n, h, w) if self.gpu.io == "frames" else (n, CLASSES, h, w)}
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes.get(name) or self.plan.get_tensor_shape(name)

    def is_stream_capturable(self, _: int) -> bool:
        return self.gpu.capturable

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.at[name] = address
        return True

    def execute_async_v3(self, _: int) -> bool:
        self.gpu.need_context()
        if self.at.keys() != {"in", "out"} or not self.shapes:
            return False
        self.gpu.launches["plain"] += 1
        at, shape = dict(self.at), self.shapes["in"]
        if self.config.dynamic_shapes_kernel_specialization_strategy == "eager":
            self.config.cache.kernels.add(str(shape))
        elif self.plan.rtx and self.gpu.recording is not None:
            self.gpu.fallbacks += 1
        self.gpu.put(lambda: self.infer(at, shape))
        return True

    def infer(self, at: dict[str, int], shape: tuple[int, ...]) -> None:
        self.gpu.inferences += 1
        given = self.gpu.memory[at["in"]]
        result: Array
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
OWN = {"of", "infer"}
