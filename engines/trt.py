"""A TensorRT or TensorRT for RTX plan on the GPU. Written against the documentation; not yet run on a GPU.

pycuda owns the context, the memory, the stream and the events; cudagraph.py records the network and replays it.
Sizes are bound once: buffers, addresses and the graph are made for one (N, H, W), and made again only when
frames of another size come, which a plan with open sides may take.

pycuda frees what it owns when Python lets go of it, but leaks it, with a warning, where that happens in another thread
than the one that opened the engine, unless the context is current: so everything is let go of inside `_on_gpu`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cgnet_deploy.engines.base import (
    WARM_RUNS,
    Ends,
    Engine,
    EngineInfo,
    GraphEngine,
    Layer,
    input_sides,
    mean_of_last,
    shape_text,
)
from cgnet_deploy.engines.cudagraph import CudaGraph, capture
from cgnet_deploy.engines.devicearray import LEGACY, Use, frames_from, labels_from, shared_stream
from cgnet_deploy.engines.foreign import Port, describe
from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.handover import Handover
from cgnet_deploy.engines.nv12 import Nv12, planes_from
from cgnet_deploy.engines.plan import Plan, TrustedPlan, check_fits, has_sidecar, read_plan, read_trusted
from cgnet_deploy.engines.request import Request
from cgnet_deploy.engines.rtxruntime import KernelCache, can_be_recorded, execution_of
from cgnet_deploy.engines.trtapi import PACKAGES, create, load_api, new_log, no_collection, rtx_architectures
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, FrameError, MissingPackage, require
from cgnet_deploy.files import sha256_of
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: no waiting for what others put on the default stream


def open(request: Request, *, graph: bool = True) -> Engine:
    if request.hints.trust and not has_sidecar(request.path):
        return TensorRTEngine(read_trusted(request.path), request, graph=graph)
    plan = read_plan(request.path)
    request.check_contract(plan.artifact.spec)
    request.shape_within(plan.artifact.shape)
    return TensorRTEngine(plan, request, graph=graph)


def probe() -> str:
    gpu = find_gpu()
    require("pycuda", extra="trt")
    installed, reason = [], None
    for builder in PACKAGES:
        try:
            trt = load_api(builder)
            if builder == "rtx" and gpu.architecture not in (supported := rtx_architectures(trt)):
                raise EngineUnavailable(
                    f"{trt.__name__} runs on {', '.join(supported)}, this GPU ({gpu.name}) is {gpu.architecture}; "
                    "install TensorRT with: pip install 'cgnet-deploy[trt]'"
                )
            installed.append(f"{trt.__name__} {trt.__version__}")
        except CgnetError as error:
            reason = error if isinstance(error, EngineUnavailable) else reason or error
    if reason and not installed:
        raise reason
    return f"{', '.join(installed)} on {gpu.name} ({gpu.architecture})"


@dataclass(frozen=True, slots=True)
class Buffer:
    """One tensor twice: pinned on the host, a numpy array, and on the GPU."""

    host: Any
    device: Any


class TensorRTEngine(GraphEngine):
    """A plan on GPU 0.

    plan: checked by `read_plan`, so that no byte that isn't ours reaches TensorRT, or trusted by the user. request:
    with sizes within the plan's own. graph: record and replay it, where it can be. Raises EngineUnavailable if this
    machine can't run the plan.
    """

    def __init__(self, plan: Plan | TrustedPlan, request: Request, *, graph: bool = True) -> None:
        path, backend = plan.path, PACKAGES[plan.builder]
        try:
            gpu = find_gpu()
            trt = load_api(plan.builder)
            self._cuda = require("pycuda.driver", extra="trt")
            self._cudart = require("cuda.bindings.runtime", extra="trt")
        except (EngineUnavailable, MissingPackage) as error:
            raise EngineUnavailable(f"{path} can't run here: {error}") from error
        check_fits(plan, gpu, trt.__version__, rtx_architectures(trt) if plan.builder == "rtx" else None)

        self._builder, self._nptype, self._profiler = plan.builder, trt.nptype, trt.IProfiler
        self._input_mode = trt.TensorIOMode.INPUT
        self._log, self._recording, self._gpu = new_log(trt), graph, gpu.name
        self._sizes: tuple[int, int, int] | None = None
        self._graph: CudaGraph | None = None
        self._handover: Handover | None = None
        self._input: Any = None
        self._result: Any = None
        self._kernels: KernelCache | None = None
        self._execution: tensorrt.IExecutionContext = None  # until it is made, and once closed
        self._cuda.init()
        self._context = self._cuda.Device(0).retain_primary_context()
        with self._on_gpu(), no_collection():
            self._runtime = create(trt.Runtime, self._log)
            self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
            if self._engine is not None and plan.builder == "rtx":
                self._execution, self._kernels = execution_of(trt, self._engine, path)
            elif self._engine is not None:
                self._execution = self._engine.create_execution_context()
            if self._execution is None:
                self._engine = self._runtime = None
                raise EngineUnavailable(
                    f"{backend} refuses {path} on {gpu.name}: {self._log.reason()}; build it here again: {plan.rebuild}"
                )
            self._stream = self._cuda.Stream(NON_BLOCKING)
            self._uploaded, self._start, self._end = (self._cuda.Event() for _ in range(3))
        try:
            self._describe(plan, request)
        except BaseException:
            self.close()
            raise

    def _describe(self, plan: Plan | TrustedPlan, request: Request) -> None:
        """Find the ends and say what runs; make the buffers if all sizes are known."""
        path = plan.path
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == self._input_mode]
        outputs = [name for name in names if name not in inputs]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ArtifactError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs, wanted 1 and 1")
        (self._input_name,), (self._output_name,) = inputs, outputs
        if isinstance(plan, Plan):
            artifact = plan.artifact
            precision, spec, own, sha256 = artifact.precision, artifact.spec, artifact.shape, artifact.sha256
            self._ends, assumed = Ends.of(artifact.io), tuple[str, ...]()
        else:
            it = describe(request, self._port(self._input_name), self._port(self._output_name))
            precision, spec, own, sha256 = Precision.F32, it.spec, it.shape, sha256_of(path)
            self._ends, assumed = it.ends, (*it.assumed, "precision f32: a plan doesn't say")
        n, h, w = shape = request.shape_within(own)
        self.info = EngineInfo(PACKAGES[plan.builder], self._gpu, precision, spec, shape, sha256, assumed)
        if n and h and w:
            with self._on_gpu():
                self._bind((n, h, w))

    def _load(self, frames: U8) -> None:
        n, h, w, _ = frames.shape
        with self._on_gpu():
            if self._sizes != (n, h, w):
                self._bind((n, h, w))
            self._uploaded.synchronize()  # the last upload may still be reading the pinned buffer
            np.copyto(self._input.host, self._prepared(frames))
            self._cuda.memcpy_htod_async(self._input.device, self._input.host, self._stream)
            self._uploaded.record(self._stream)

    def enqueue(self) -> None:
        with self._on_gpu():
            if self._graph is not None:
                self._graph.launch()
            else:
                self._run()

    def sync(self) -> None:
        with self._on_gpu():
            self._stream.synchronize()

    def infer_on_device(self, frames: object, labels: object, *, stream: int | None = None) -> None:
        if self._ends != Ends("frames", "labels"):
            raise EngineUnavailable(
                f"{self.info.backend} takes frames on the GPU by a plan from frames to labels, as cgnet-export makes; "
                f"this one takes a {self._ends.takes} and gives {self._ends.gives}"
            )
        stream = LEGACY if stream == 0 else stream  # as PyTorch spells the default one
        with self._on_gpu(), ExitStack() as lent:
            use = Use(stream, self._stream.handle, lent)
            given = planes_from(frames, use) if isinstance(frames, Nv12) else frames_from(frames, use)
            self._check_sizes(given.sizes)
            wanted = labels_from(labels, given.sizes, use)
            arrays = (*given.planes, wanted)
            theirs = shared_stream(arrays)
            self._handover = self._handover or Handover(self._cudart, self._cuda, self._stream)
            self._handover.check(*arrays, theirs=theirs)
            if self._sizes != given.sizes:
                self._bind(given.sizes)
            try:
                self._handover.take(given, int(self._input.device), theirs)
                self.enqueue()
                self._handover.give(int(self._result.device), wanted, theirs)
            except BaseException:
                self._stream.synchronize()  # it may read the caller's frames, and their stream doesn't wait for it
                raise
            if theirs is None or any(array.unnamed for array in arrays):
                self._stream.synchronize()
        self._fed = given.sizes

    def device_ns(self) -> int:
        with self._on_gpu():
            self._start.record(self._stream)
            self.enqueue()
            self._end.record(self._stream)
            self._end.synchronize()
            return int(self._end.time_since(self._start) * 1e6)  # CUDA gives milliseconds

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        """Without the graph, which hides its layers. A plan gives no kinds."""
        timed: list[tuple[str, str, float]] = []

        class Profiler(self._profiler):  # type: ignore[misc, name-defined]
            def report_layer_time(self, name: str, ms: float) -> None:
                timed.append((name, "", ms * 1e6))

        self.load(frames)
        with self._on_gpu(), no_collection():  # it is called from inside TensorRT, as a log is
            self._execution.profiler = Profiler()
            try:
                for _ in range(WARM_RUNS + runs):
                    self._run()
                    self._stream.synchronize()
            finally:
                self._execution.profiler = None
        return mean_of_last(runs, timed)

    def _output(self) -> Any:
        with self._on_gpu():
            self._cuda.memcpy_dtoh_async(self._result.host, self._result.device, self._stream)
            self._stream.synchronize()
        return self._result.host

    def close(self) -> None:
        if self._execution is not None:
            with self._on_gpu():
                self._unbind()
                if self._handover is not None:
                    self._handover.destroy()
                self._handover = None
                self._kernels = self._execution = self._engine = self._runtime = None
                self._stream = self._uploaded = self._start = self._end = None

    @contextmanager
    def _on_gpu(self) -> Iterator[None]:
        """Make the GPU's primary context current, for one step only.

        pycuda aborts the process if a thread ends with a context on its stack, and nobody is obliged to
        close an engine, or to do it in the thread that opened it.
        """
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    @no_collection()
    def _bind(self, sizes: tuple[int, int, int]) -> None:
        """Make the buffers and the graph for inputs of (N, H, W)."""
        self._unbind()
        spelled = shape_text(sizes)
        if not self._execution.set_input_shape(self._input_name, input_sides(self._ends.takes, sizes)):
            raise FrameError(f"the plan was not built for {spelled}: {self._log.reason()}")
        try:
            self._input = self._buffer(self._input_name)
            self._result = self._buffer(self._output_name)
        except self._cuda.MemoryError as error:
            raise CgnetError(f"the GPU has no memory left for {spelled}") from error
        self._run()
        self._stream.synchronize()
        if self._recording and (self._builder == "tensorrt" or can_be_recorded(self._execution, self._stream.handle)):
            self._graph = self._recorded()
        if self._kernels is not None:
            self._kernels.keep()
        self._sizes = sizes
        # Whether a graph is replayed changes the latency of a small network, so it is shown.
        self.info = replace(self.info, provider=f"{self._gpu}, {'CUDA graph' if self._graph else 'no CUDA graph'}")

    def _recorded(self) -> CudaGraph | None:
        """None where cuda-python can't record, as one that is newer than the driver."""
        try:
            return capture(self._cudart, self._stream.handle, self._enqueue)
        except CgnetError as error:
            log.warning(f"running without a CUDA graph: {error}; install the cuda-python of the driver's CUDA release")
            return None

    def _unbind(self) -> None:
        self._stream.synchronize()
        if self._graph is not None:
            self._graph.destroy()
        for buffer in (self._input, self._result):
            if buffer is not None:
                buffer.device.free()
        self._graph = self._sizes = self._input = self._result = None

    def _port(self, name: str) -> Port:
        sides = tuple(self._engine.get_tensor_shape(name))
        return Port(
            np.dtype(self._nptype(self._engine.get_tensor_dtype(name))).name,
            tuple(None if side < 0 else int(side) for side in sides),
        )

    def _buffer(self, name: str) -> Buffer:
        dtype = self._nptype(self._engine.get_tensor_dtype(name))
        host = self._cuda.pagelocked_empty(tuple(self._execution.get_tensor_shape(name)), dtype)
        device = self._cuda.mem_alloc(host.nbytes)
        if not self._execution.set_tensor_address(name, int(device)):
            raise CgnetError(f"TensorRT doesn't take the memory of {name}: {self._log.reason()}")
        return Buffer(host, device)

    def _run(self) -> None:
        """Start one inference, without a graph."""
        if not self._enqueue():
            raise CgnetError(f"TensorRT can't start: {self._log.reason()}")

    def _enqueue(self) -> bool:
        return bool(self._execution.execute_async_v3(self._stream.handle))
