"""A GPU made of NumPy, for testing what our engine asks of CUDA and TensorRT, and in which order.

It stands in for pycuda (fake_pycuda.py), cuda-python (here and fake_streams.py) and TensorRT (fake_tensorrt.py) as far
as the engine uses them, and is as strict as they are: nothing works without a context that is current in the calling
thread; a stream does its work as late as it may, when somebody waits for it, so a missing wait shows in the labels;
freed memory is gone, pinned memory too; a graph does what was recorded, at the recorded addresses, and nothing may be
allocated, freed or waited for meanwhile. test_fake_gpu.py shows that each is refused.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.artifact import IO
from cgnet_deploy.pixels import U8
from tests.engines.fake_pycuda import NON_BLOCKING, Context, Event, Memory, Module, Pinned, Stream, still_there
from tests.engines.fake_streams import INVALID_HANDLE, OURS, Streams
from tests.engines.fake_tensorrt import VERSION, tensorrt

Array = npt.NDArray[Any]
Work = Callable[[], None]
THREAD_LOCAL = 1  # cudaStreamCaptureModeThreadLocal


class FakeGpu:
    """Attributes `cuda`, `cudart` and `trt` stand in for pycuda.driver, cuda.bindings.runtime and tensorrt.

    library: TensorRT's version in four numbers, as plans hold it; `install` changes it.
    """

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
            cudaStreamCaptureMode=SimpleNamespace(cudaStreamCaptureModeThreadLocal=THREAD_LOCAL),
            cudaStreamBeginCapture=self.begin_capture,
            cudaStreamEndCapture=self.end_capture,
            cudaGraphInstantiate=lambda graph, _: ("success", graph),
            cudaGraphDestroy=lambda _: ("success",),
            cudaGraphLaunch=self.launch_graph,
            cudaGraphExecDestroy=self.destroy_graph,
            cudaGetLastError=lambda: ("success",),
            **self.streams.calls(),
        )
        self.trt = tensorrt(self)
        self.install(VERSION)

    def install(self, library: str, shown: int = 4) -> None:
        """Another TensorRT, of whose version the package shows so many numbers: three before 10.8."""
        self.library = library
        self.trt.__version__ = ".".join(library.split(".")[:shown])

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
        self.memory[address] = np.full(nbytes, 0xA5, np.uint8)  # whatever lay there
        return Memory(self, address)

    def upload(self, to: Memory, host: Array, stream: Stream) -> None:
        stream.check()
        pinned = still_there(host)
        self.put(lambda: np.copyto(self.memory[to.address], pinned()))

    def download(self, host: Array, source: Memory, stream: Stream) -> None:
        stream.check()
        pinned = still_there(host)
        self.put(lambda: np.copyto(pinned(), self.memory[source.address]))

    def begin_capture(self, stream: int, mode: int) -> tuple[str]:
        self.need_context()
        assert stream == OURS, "the legacy stream can't be recorded, and others' are theirs"
        assert mode == THREAD_LOCAL, "what other threads allocate would end the recording"
        assert not self.queue, "the first run was not waited for"
        assert self.recording is None, "the stream is recording already"
        self.recording, self.recorder, self.broken = [], threading.get_ident(), ""
        return ("success",)

    def end_capture(self, stream: int) -> tuple[str, Any]:
        assert stream == OURS
        if threading.get_ident() != self.recorder:
            return ("cudaErrorStreamCaptureWrongThread", None)
        graph, self.recording = self.recording, None
        assert not self.broken, f"{self.broken} ends a recording"
        if any(flags != NON_BLOCKING for flags in self.stream_flags):
            return ("cudaErrorStreamCaptureImplicit", None)  # others work on the legacy stream, for which it waits
        self.graphs += self.capturable
        return ("success", graph) if self.capturable else ("cudaErrorStreamCaptureUnsupported", None)

    def launch_graph(self, graph: list[Work], stream: int) -> tuple[str]:
        assert stream == OURS, "the engine puts its work on its own stream"
        self.launches["graph"] += 1
        for work in graph:
            self.put(work)
        return ("success",)

    def destroy_graph(self, _: Any) -> tuple[str]:
        self.need_context()
        self.graphs -= 1
        return ("success",)
