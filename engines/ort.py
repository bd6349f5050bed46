"""ONNX Runtime, on the CPU or by CUDA, through an IO binding.

`load` puts the input where the provider reads it, `enqueue` runs the graph from there to an output that the
binding keeps on the same side, and `fetch` brings that output to the host.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from cgnet_deploy.artifact import Shape
from cgnet_deploy.cpu import int8_saturates
from cgnet_deploy.engines.base import WARM_RUNS, Engine, EngineInfo, GraphEngine, Layer, mean_of_last
from cgnet_deploy.engines.cudastream import CudaStream
from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.kept import Kept
from cgnet_deploy.engines.nativecpu import native_or_none
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, MissingPackage, one_line, require
from cgnet_deploy.pixels import U8
from cgnet_deploy.threads import quota

log = logging.getLogger(__name__)

ONLY_ERRORS = 3  # of ONNX Runtime's log
EXACT_INT8 = "session.x64quantprecision"
KERNEL = "_kernel_time"  # what its profile adds to the name of a node


CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def open(request: Request, *, cuda: bool = False) -> Engine:
    file, shape = requested(request)
    if not (request.chosen or cuda) and (native := native_or_none(file, shape, request)):
        return native
    return OrtEngine(file, shape, threads=request.threads, cuda=cuda, profile=request.profile, cache=request.cache)


def probe(*, cuda: bool = False) -> str:
    gpu = find_gpu() if cuda else None
    ort = require("onnxruntime", extra="gpu" if cuda else "ort")
    check_provider(ort, CUDA if cuda else CPU)
    return f"onnxruntime {ort.__version__}" + (f" on {gpu.name}" if gpu else f"; {_offered(ort)}")


def check_provider(ort: ModuleType, wanted: str) -> None:
    """Raise EngineUnavailable if this build of ONNX Runtime lacks it."""
    if wanted not in ort.get_available_providers():
        raise EngineUnavailable(
            f"this ONNX Runtime has no {wanted}, only {_offered(ort)}; install it with: pip install 'cgnet-deploy[gpu]'"
        )


def _offered(ort: ModuleType) -> str:
    return ", ".join(ort.get_available_providers())


class OrtEngine(GraphEngine):
    """An ONNX file in ONNX Runtime.

    shape: the (N, H, W) to take, within the file's own. threads: of one operator; None leaves it to the
    runtime. cuda: run by CUDA, or raise EngineUnavailable; never fall back to the CPU. profile,
    cache: as of open_engine.
    """

    def __init__(
        self,
        file: OnnxFile,
        shape: Shape,
        *,
        threads: int | None = None,
        cuda: bool = False,
        profile: bool = False,
        cache: bool = False,
    ) -> None:
        ort = require("onnxruntime", extra="gpu" if cuda else "ort")
        self._ort_value = ort.OrtValue
        self._device = "cuda" if cuda else "cpu"
        wanted = CUDA if cuda else CPU
        check_provider(ort, wanted)
        placed: dict[str, str] = {}
        self._stream: CudaStream | None = None
        self._running = ort.RunOptions()
        if cuda:
            find_gpu()  # says what is missing; CUDA's own message is about versions
            with contextlib.redirect_stdout(sys.stderr):  # where it prints what it can't load
                ort.preload_dlls()  # from the packages that PyTorch brings, where the system's loader doesn't look
            self._stream = self._own_stream()
            if self._stream:
                placed["user_compute_stream"] = str(self._stream.handle)
            placed["use_tf32"] = "0"  # f32 has 24 bits here, as in the network that it is compared with
            # `run` needs not wait for the GPU: `sync` does.
            self._running.add_run_config_entry("disable_synchronize_execution_providers", "1")
        options = session_options(ort)
        if threads is not None:
            options.intra_op_num_threads = threads
        self._profiles = tempfile.TemporaryDirectory(prefix="cgnet-ort-") if profile else None
        if self._profiles:
            self._content = file.content
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(self._profiles.name) / "layers")
        # With enable_fallback on, a provider that can't start is replaced by the CPU, and a print() says so.
        start = partial(ort.InferenceSession, providers=[(wanted, placed)], enable_fallback=0)
        try:
            kept = cache and not (cuda or profile)
            self._session = from_cache(ort, start, file.content, options) if kept else start(file.content, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ArtifactError(f"ONNX Runtime can't run {file.path}: {one_line(error)}") from error
        provider = self._session.get_providers()[0]
        if provider != wanted:
            raise EngineUnavailable(f"ONNX Runtime offers {wanted} but runs {provider}: CUDA or cuDNN can't be loaded")
        self._input_name = self._session.get_inputs()[0].name
        self._output_name = self._session.get_outputs()[0].name
        self._ends = file.ends
        self.info = EngineInfo("onnxruntime", provider, file.precision, file.spec, shape, file.sha256, file.assumed)

    @staticmethod
    def _own_stream() -> CudaStream | None:
        """None without a cuda-python that works with the driver: then it has no clock, and runs all the same."""
        try:
            return CudaStream(require("cuda.bindings.runtime", extra="gpu"))
        except MissingPackage:
            return None
        except (CgnetError, RuntimeError) as error:  # the latter by cuda-bindings up to 12.8 without a driver
            log.warning(
                f"running without a clock of the GPU's: {one_line(error)}; install the cuda-python of the driver's "
                "CUDA release"
            )
            return None

    def _load(self, frames: U8) -> None:
        array = self._prepared(frames)
        self._value = self._ort_value.ortvalue_from_numpy(array, self._device, 0)  # on the CPU, `array` itself
        # A new binding for each input: an old one keeps its output's buffer, which may have another shape.
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(self._input_name, self._value)
        self._binding.bind_output(self._output_name, self._device, 0)

    def enqueue(self) -> None:
        self._session.run_with_iobinding(self._binding, self._running)

    def sync(self) -> None:
        self._binding.synchronize_outputs()

    def device_ns(self) -> int:
        return super().device_ns() if self._stream is None else self._stream.device_ns(self.enqueue)

    def _output(self) -> Any:
        return self._binding.get_outputs()[0].numpy()  # on the CPU no copy, but the runtime's own memory

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        if self._profiles is None:
            return super().profile(frames, runs)
        self.load(frames)
        for _ in range(WARM_RUNS + runs):
            self.enqueue()
            self.sync()
        nodes = node_names(self._content)
        events = json.loads(Path(self._session.end_profiling()).read_bytes())
        self._profiles.cleanup()
        self._profiles = None
        return mean_of_last(
            runs,
            (
                (name_of(event["name"], nodes), event["args"]["op_name"], 1e3 * event["dur"])  # dur is in us
                for event in sorted(events, key=lambda event: event["ts"])
                if event.get("cat") == "Node" and event["name"].endswith(KERNEL)
            ),
        )


def session_options(ort: Any) -> Any:
    """Of every session, timed or scored. Exact int8 products also on a CPU whose own saturate; see cpu.py."""
    options = ort.SessionOptions()
    options.log_severity_level = ONLY_ERRORS
    options.add_session_config_entry(EXACT_INT8, str(int(int8_saturates())))
    if (most := quota()) is not None:  # its own count heeds the affinity alone
        options.intra_op_num_threads = most
    return options


def from_cache(ort: Any, start: Callable[[bytes, Any], Any], content: bytes, options: Any) -> Any:
    """The session of a file, started on the graph that ONNX Runtime has made of it for this CPU, if that is kept."""
    version = f"{ort.__version__}, {ort.get_build_info()}"
    kept = Kept.of("onnxruntime", version, content, options.get_session_config_entry(EXACT_INT8))
    best = options.graph_optimization_level
    if (optimised := kept.read()) is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return start(optimised, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            log.info(f"optimising anew: {one_line(error)}")
            options.graph_optimization_level = best
    try:
        with tempfile.TemporaryDirectory(prefix="cgnet-ort-") as folder:
            options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
            session = start(content, options)
            kept.write(Path(options.optimized_model_filepath).read_bytes())
            return session
    except Exception as error:  # of the file, which the next line says, or of the folder
        log.debug(f"nothing is kept of what is optimised: {one_line(error)}")
        options.optimized_model_filepath = ""
        return start(content, options)


def node_names(content: bytes) -> dict[str, str]:
    """The name of each value of an ONNX file -> the name of the node that it comes from."""
    onnx = require("onnx", extra="export")
    return {value: node.name for node in onnx.load_from_string(content).graph.node for value in node.output}


def name_of(event: str, nodes: Mapping[str, str]) -> str:
    """What a node of the profile was called in the file.

    Convolutions that ONNX Runtime puts into its blocked layout, or makes of a product, are called after the value
    that they give, with these additions.
    """
    name = event.removesuffix(KERNEL)
    value = name.removeprefix("InsertedPrecisionFreeCast_").removesuffix("_nchwc").removesuffix("_mul")
    return nodes.get(name) or nodes.get(value) or name
