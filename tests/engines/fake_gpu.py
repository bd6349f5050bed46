"""A GPU made of NumPy, for testing what our engine asks of CUDA and TensorRT, and in which order.

It stands in for pycuda, cuda-python and TensorRT as far as the engine uses them, and is as strict as they are:
nothing works without a current context; a stream does its work as late as it may, when somebody waits for it, so a
missing wait shows in the labels; freed memory is gone; a graph does what was recorded, at the recorded addresses.
The network is the tiny one of graphs.py, computed on what lies in the faked device's memory.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.artifact import IO
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.pixels import F32, U8
from tests.engines.graphs import CLASSES, SPEC, logits_of

Array = npt.NDArray[Any]
Work = Callable[[], None]
VERSION = "10.13.3.9"
MAX_SIDE = 100  # of the faked plan's profile


class FakeGpu:
    """Attributes `cuda`, `cudart` and `trt` stand in for pycuda.driver, cuda.bindings.runtime and tensorrt."""

    def __init__(self, io: IO, *, capturable: bool = True) -> None:
        self.io: IO = io
        self.capturable = capturable
        self.contexts = 0  # on the stack of the only thread
        self.memory: dict[int, U8] = {}
        self.addresses = itertools.count(1 << 20, 1 << 20)
        self.queue: list[Work] = []  # of the only stream
        self.recording: list[Work] | None = None
        self.graphs = 0
        self.launches = {"plain": 0, "graph": 0}
        self.inferences = 0
        self.cuda = SimpleNamespace(
            init=lambda: None,
            Device=lambda _: SimpleNamespace(retain_primary_context=lambda: Context(self)),
            Stream=lambda: Stream(self),
            Event=lambda: Event(self),
            MemoryError=MemoryError,
            mem_alloc=self.mem_alloc,
            pagelocked_empty=lambda shape, dtype: np.empty(shape, dtype),
            memcpy_htod_async=self.upload,
            memcpy_dtoh_async=self.download,
        )
        self.cudart: Any = SimpleNamespace(
            cudaError_t=SimpleNamespace(cudaSuccess="success"),
            cudaStreamCaptureMode=SimpleNamespace(cudaStreamCaptureModeThreadLocal=1),
            cudaStreamBeginCapture=self.begin_capture,
            cudaStreamEndCapture=self.end_capture,
            cudaGraphInstantiate=lambda graph, _: ("success", graph),
            cudaGraphDestroy=lambda _: ("success",),
            cudaGraphLaunch=self.launch_graph,
            cudaGraphExecDestroy=self.destroy_graph,
            cudaGetLastError=lambda: ("success",),
        )
        self.trt = SimpleNamespace(
            __version__=VERSION,
            ILogger=Logger,
            TensorIOMode=SimpleNamespace(INPUT="in"),
            nptype=np.dtype,
            IProfiler=object,
            Runtime=lambda _: SimpleNamespace(deserialize_cuda_engine=self.deserialize),
        )

    def deserialize(self, _: bytes) -> Plan:
        self.need_context()
        assert not gc.isenabled(), "the log may be called here, with TensorRT's lock held"
        return Plan(self)

    def need_context(self) -> None:
        assert self.contexts, "no context is current"

    def put(self, work: Work) -> None:
        self.need_context()
        (self.queue if self.recording is None else self.recording).append(work)

    def drain(self, upto: int | None = None) -> None:
        self.need_context()
        now, self.queue = self.queue[:upto], self.queue[len(self.queue) if upto is None else upto :]
        for work in now:
            work()

    def mem_alloc(self, nbytes: int) -> Memory:
        self.need_context()
        address = next(self.addresses)
        self.memory[address] = np.zeros(nbytes, np.uint8)
        return Memory(self, address)

    def upload(self, to: Memory, host: Array, _: Stream) -> None:
        assert host.flags.c_contiguous
        self.put(lambda: np.copyto(self.memory[to.address], host.reshape(-1).view(np.uint8)))

    def download(self, host: Array, source: Memory, _: Stream) -> None:
        self.put(lambda: np.copyto(host.reshape(-1).view(np.uint8), self.memory[source.address]))

    def begin_capture(self, *_: object) -> tuple[str]:
        assert not self.queue, "the first run was not waited for"
        self.recording = []
        return ("success",)

    def end_capture(self, _: int) -> tuple[str, Any]:
        graph, self.recording = self.recording, None
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


class Stream:
    handle = 7

    def __init__(self, gpu: FakeGpu) -> None:
        gpu.need_context()
        self.synchronize = gpu.drain


class Event:
    def __init__(self, gpu: FakeGpu) -> None:
        gpu.need_context()
        self.gpu, self.reached = gpu, True

    def record(self, _: Stream) -> None:
        self.reached = False
        self.gpu.put(self.reach)
        self.mark = self.gpu.queue[-1]

    def reach(self) -> None:
        self.reached, self.inferences = True, self.gpu.inferences

    def synchronize(self) -> None:
        self.gpu.need_context()
        if not self.reached:
            self.gpu.drain(self.gpu.queue.index(self.mark) + 1)

    def time_since(self, start: Event) -> float:
        """Milliseconds: a quarter for every inference between the two."""
        assert start.reached
        assert self.reached
        return (self.inferences - start.inferences) / 4


class Memory:
    def __init__(self, gpu: FakeGpu, address: int) -> None:
        self.gpu, self.address = gpu, address

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        self.gpu.need_context()
        del self.gpu.memory[self.address]


class Logger:
    Severity = SimpleNamespace(ERROR=1)


class Plan:
    """The faked engine. Its output comes first, which TensorRT allows."""

    num_io_tensors = 2

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
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

    def create_execution_context(self) -> Execution:
        return Execution(self)


class Execution:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.gpu = plan, plan.gpu
        self.profiler: Any = None
        self.at: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, sides: tuple[int, ...]) -> bool:
        n, *others = sides
        h, w = others[:2] if self.gpu.io == "frames" else others[1:]
        self.shapes = {name: sides, "out": (n, h, w) if self.gpu.io == "frames" else (n, CLASSES, h, w)}
        return max(h, w) <= MAX_SIDE

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.at[name] = address
        return True

    def execute_async_v3(self, _: int) -> bool:
        self.gpu.launches["plain"] += 1
        at, shape = dict(self.at), self.shapes["in"]
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
            assert not gc.isenabled(), "it is called with TensorRT's lock held, as the log is"
            for name, ms in (("stem.0.conv/Conv", self.gpu.inferences), ("Reformat", 0.25)):
                self.profiler.report_layer_time(name, ms)


def frames_of(planes: F32) -> U8:
    """The frames that `to_tensor` made `planes` of."""
    channels = planes + np.array(SPEC.input.mean, np.float32).reshape(1, 3, 1, 1)
    frames: F32 = channels[:, np.argsort(SPEC.input.channels)].transpose(0, 2, 3, 1)
    return frames.clip(0, 255).astype(np.uint8)
