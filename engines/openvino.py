"""OpenVINO on the CPU, or on Intel's GPU or NPU, tuned for latency, in f32 or, where the device can, in bf16 or f16.

OpenVINO runs an f32 file in bf16 by itself on a CPU that has it, and in f32 where bf16 was asked for on one
that hasn't; here the type is always asked for, and the one that came is compared. In an int8 file it is the type of
what is not int8; how many convolutions really are is counted in what was compiled for a CPU, and shown. Nothing here
has been run on Intel's GPU or NPU yet.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal

from cgnet_deploy.artifact import Shape
from cgnet_deploy.cpu import int8_saturates
from cgnet_deploy.engines.base import WARM_RUNS, Engine, EngineInfo, GraphEngine, Layer, input_sides, mean_of_last
from cgnet_deploy.engines.kept import Kept
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, EngineUnavailable, one_line, require
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

Arithmetic = Literal["f32", "bf16", "f16"]
Device = Literal["CPU", "GPU", "NPU"]
CAPABILITY: Mapping[Arithmetic, str] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}  # as OpenVINO lists it


def open(request: Request, *, arithmetic: Arithmetic = "f32", device: Device = "CPU") -> Engine:
    return OpenVinoEngine(
        *requested(request),
        threads=request.threads,
        arithmetic=arithmetic,
        device=device,
        profile=request.profile,
        cache=request.cache,
    )


def probe(*, arithmetic: Arithmetic = "f32", device: Device = "CPU") -> str:
    core = shared_core()
    _find(core, device)
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if CAPABILITY[arithmetic] not in able:
        raise EngineUnavailable(f"this {device} has no {arithmetic} (it has {', '.join(able)})")
    version = require("openvino", extra="openvino").__version__.split("-")[0]
    name = core.get_property(device, "FULL_DEVICE_NAME").strip()
    return f"openvino {version}; {', '.join(core.available_devices)} ({name})"


class OpenVinoEngine(GraphEngine):
    """An ONNX file in OpenVINO.

    shape: the (N, H, W) to take, within the file's own; the network is compiled for just that. threads: None
    leaves it to the runtime, and only a CPU takes it. arithmetic: the type that it computes in. device: OpenVINO's name
    of it. EngineUnavailable if it isn't there or can't compute so. profile, cache: as of open_engine.
    """

    def __init__(
        self,
        file: OnnxFile,
        shape: Shape,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "f32",
        device: Device = "CPU",
        profile: bool = False,
        cache: bool = False,
    ) -> None:
        ov = require("openvino", extra="openvino")
        self._tensor = ov.Tensor
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": arithmetic}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
            if threads < cores():
                settings["ENABLE_CPU_PINNING"] = "NO"  # pinned, two engines would share the first cores
        self._profiles = profile
        if profile:
            settings["PERF_COUNT"] = "YES"
        core = shared_core()
        _find(core, device)
        takes = core.get_property(device, "SUPPORTED_PROPERTIES")  # a GPU or NPU refuses what only a CPU has
        settings = {name: value for name, value in settings.items() if name in takes}
        try:
            # what a GPU's or NPU's driver has compiled is good for that driver, whose version OpenVINO doesn't tell
            keeps = cache and not profile and device == "CPU"
            kept = _kept(ov, core, file, shape, settings) if keeps else None
            compiled = started = _started(core, kept, settings) if kept else None
            if compiled is None:
                model = core.read_model(file.content)
                model.reshape([-1 if side is None else side for side in input_sides(file.ends.takes, shape)])
                compiled = core.compile_model(model, device, settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1:]  # the lines before it name OpenVINO's source files
            raise ArtifactError(f"OpenVINO can't run {file.path}: {one_line(''.join(reason))}") from error
        runs_in = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if runs_in != arithmetic:
            raise EngineUnavailable(f"OpenVINO runs {runs_in} on this {device}, which has no {arithmetic}")
        self._request = compiled.create_infer_request()
        self._ends = file.ends
        provider = f"{device} {runs_in}"
        if file.precision is Precision.INT8 and device == "CPU":
            int8, convolutions = _in_int8(compiled)
            if int8 == 0:
                raise EngineUnavailable(f"OpenVINO runs no convolution of {file.path} in int8 on this CPU")
            provider = f"CPU int8 {int8} of {convolutions} convolutions, rest {runs_in}"
            if int8_saturates():
                log.warning(
                    f"{file.path}: without VNNI OpenVINO's products of u8 and s8 saturate, which changes labels: "
                    "measure its mIoU on this machine (cgnet-bench --data), or export with --target native"
                )
        self.info = EngineInfo("openvino", provider, file.precision, file.spec, shape, file.sha256, file.assumed)
        if kept and not started:
            kept.write(compiled.export_model().getvalue())

    def _load(self, frames: U8) -> None:
        self._shared = self._tensor(
            self._prepared(frames), shared_memory=True
        )  # the request keeps only an address: keep the array
        self._request.set_input_tensor(self._shared)

    def enqueue(self) -> None:
        self._request.start_async()

    def sync(self) -> None:
        self._request.wait()

    def _output(self) -> Any:
        return self._request.get_output_tensor().data  # the request's own buffer

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        if not self._profiles:
            return super().profile(frames, runs)
        self.load(frames)
        timed = []
        for _ in range(WARM_RUNS + runs):
            self.enqueue()
            self.sync()
            timed += [
                (node.node_name, node.node_type, node.real_time.total_seconds() * 1e9)
                for node in self._request.profiling_info
                if node.status == node.Status.EXECUTED  # the others were fused into those, or have nothing to do
            ]
        return mean_of_last(runs, timed)


def _find(core: Any, device: Device) -> None:
    """Raise EngineUnavailable if this machine doesn't have it."""
    found = core.available_devices  # such as CPU, GPU.0, GPU.1
    if device not in {name.partition(".")[0] for name in found}:
        raise EngineUnavailable(
            f"OpenVINO finds no {device} here, only {', '.join(found)}; an Intel {device} needs its driver"
        )


def _kept(ov: ModuleType, core: Any, file: OnnxFile, shape: Shape, settings: Mapping[str, str]) -> Kept:
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # less than the CPU has, if the environment says so
    return Kept.of("openvino", ov.get_version(), file.content, shape, dict(settings), able)


def _started(core: Any, kept: Kept, settings: Mapping[str, str]) -> Any | None:
    """The compiled network that is kept; None where there is none that OpenVINO takes."""
    content = kept.read()
    try:
        return None if content is None else core.import_model(content, "CPU", settings)
    except RuntimeError as error:
        log.info(f"compiling anew: {one_line(error)}")
        return None


def shared_core() -> Any:
    """The only ov.Core of this process, which is never freed. Raises MissingPackage without OpenVINO.

    A Core gives the thread that makes it a stack for signal handlers, and unmaps that when it is freed: even if another
    thread frees it, or a later Core remembers it as the one to go back to. The next signal, such as Ctrl-C, would then
    end the process (openvino 2026.4, on Linux).
    """
    return _core(require("openvino", extra="openvino"))


@functools.cache
def _core(ov: ModuleType) -> Any:
    return ov.Core()


def _in_int8(compiled: Any) -> tuple[int, int]:
    """How many convolutions of a compiled network compute in int8, and how many there are."""
    infos = (node.get_rt_info() for node in compiled.get_runtime_model().get_ops())
    types = [str(info["runtimePrecision"].value) for info in infos if str(info["layerType"].value) == "Convolution"]
    return sum(kind in ("u8", "i8") for kind in types), len(types)
