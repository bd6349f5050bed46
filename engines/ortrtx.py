"""An ONNX file by NVIDIA's TensorRT-RTX provider, a plugin for the stock ONNX Runtime. Not yet run on a GPU.

The way to a TensorRT-class engine on an RTX PC by pip alone: no plan, no pycuda, no CUDA toolkit. It compiles a file
for the GPU when it is opened, and keeps what it compiled in a cache folder of the user's, which is bounded here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.base import Engine, EngineInfo, GraphEngine
from cgnet_deploy.engines.gpu import Gpu, find_gpu
from cgnet_deploy.engines.kept import MAX_CACHE_BYTES, bound, cache_folder
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.ort import session_options
from cgnet_deploy.engines.request import Request
from cgnet_deploy.engines.trtapi import RTX_PLUGIN
from cgnet_deploy.errors import ArtifactError, EngineUnavailable, one_line, require
from cgnet_deploy.pixels import U8

log = logging.getLogger(__name__)

EXTRA = "ort-rtx"


def open(request: Request) -> Engine:
    return OrtRtxEngine(*requested(request), cache=request.cache)


def probe() -> str:
    ort, gpu, devices = _found()
    return f"onnxruntime {ort.__version__}, {devices[0].ep_name} on {gpu.name} ({gpu.architecture})"


class OrtRtxEngine(GraphEngine):
    """An ONNX file on GPU 0; frames and labels are in host memory, and the provider copies them.

    shape: the (N, H, W) to take, within the file's own. cache: as of open_engine. Raises EngineUnavailable if this
    machine can't run it, ArtifactError if the provider doesn't take the whole graph: it never falls back to the CPU.
    """

    def __init__(self, file: OnnxFile, shape: Shape, *, cache: bool = False) -> None:
        ort, gpu, devices = _found()
        options = session_options(ort)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_provider_for_devices(devices[:1], _kept_compiled() if cache else {})
        try:
            self._session = ort.InferenceSession(file.content, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ArtifactError(f"{devices[0].ep_name} can't run {file.path}: {one_line(error)}") from error
        provider = self._session.get_providers()[0]
        if provider != devices[0].ep_name:
            raise EngineUnavailable(f"ONNX Runtime was given {devices[0].ep_name} but runs {provider}")
        self._input_name = self._session.get_inputs()[0].name
        self._ends = file.ends
        self.info = EngineInfo(
            "onnxruntime", f"{provider} on {gpu.name}", file.precision, file.spec, shape, file.sha256, file.assumed
        )

    def _load(self, frames: U8) -> None:
        self._input = self._prepared(frames)

    def enqueue(self) -> None:
        (self._result,) = self._session.run(None, {self._input_name: self._input})

    def sync(self) -> None:
        """`enqueue` has waited."""

    def _output(self) -> Any:
        return np.asarray(self._result)


def _found() -> tuple[ModuleType, Gpu, Sequence[Any]]:
    """ONNX Runtime, the GPU, and what the provider offers on it. Raises MissingPackage or EngineUnavailable."""
    gpu = find_gpu()
    ort, plugin = require("onnxruntime", EXTRA), require("onnxruntime_ep_nv_tensorrt_rtx", EXTRA)
    if gpu.architecture not in RTX_PLUGIN:
        raise EngineUnavailable(
            f"TensorRT for RTX runs on {', '.join(RTX_PLUGIN)}, and this GPU ({gpu.name}) is {gpu.architecture}: "
            "use trt: with a plan of TensorRT, or ort-cuda:"
        )
    _register(ort, plugin)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == plugin.get_ep_name()]
    if not devices:
        raise EngineUnavailable(f"{plugin.get_ep_name()} offers nothing on {gpu.name}: is its driver too old?")
    return ort, gpu, devices


@cache  # a process registers a library once
def _register(ort: ModuleType, plugin: ModuleType) -> None:
    try:
        ort.register_execution_provider_library(plugin.get_ep_name(), plugin.get_library_path())
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise EngineUnavailable(f"{plugin.get_ep_name()} can't be loaded: {one_line(error)}") from error


def _kept_compiled() -> dict[str, str]:
    """The provider's option for where it keeps what it compiled, and looks for it."""
    try:
        folder = cache_folder(EXTRA)
        bound(folder, MAX_CACHE_BYTES)
    except (OSError, RuntimeError) as error:
        log.debug(f"nothing is kept of what is compiled: {error}")
        return {}
    return {"nv_runtime_cache_path": str(folder)}
