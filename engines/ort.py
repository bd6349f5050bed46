"""ONNX Runtime, on the CPU or by CUDA, through an IO binding.

`load` puts the input where the provider reads it, `enqueue` runs the graph from there to an output that the
binding keeps on the same side, and `fetch` brings that output to the host.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.engines.onnxfile import OnnxFile
from cgnet_deploy.errors import ArtifactError, EngineUnavailable, one_line, require
from cgnet_deploy.pixels import U8, to_tensor

ONLY_ERRORS = 3  # of ONNX Runtime's log


class OrtEngine(Engine):
    """An ONNX file in ONNX Runtime.

    shape: the (N, H, W) to take, within the file's own. threads: of one operator; None leaves it to the
    runtime. cuda: run by CUDA, or raise EngineUnavailable; never fall back to the CPU.
    """

    def __init__(self, file: OnnxFile, shape: Shape, *, threads: int | None = None, cuda: bool = False) -> None:
        ort = require("onnxruntime", extra="gpu" if cuda else "ort")
        self._ort_value = ort.OrtValue
        self._device = "cuda" if cuda else "cpu"
        wanted = "CUDAExecutionProvider" if cuda else "CPUExecutionProvider"
        if wanted not in ort.get_available_providers():
            raise EngineUnavailable(
                f"this ONNX Runtime has no {wanted}, only {', '.join(ort.get_available_providers())}; "
                "install the one that has: pip install 'cgnet-deploy[gpu]'"
            )
        options = ort.SessionOptions()
        options.log_severity_level = ONLY_ERRORS
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            # With enable_fallback on, a provider that can't start is replaced by the CPU and print() tells of it.
            self._session = ort.InferenceSession(file.content, options, providers=[wanted], enable_fallback=0)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ArtifactError(f"ONNX Runtime can't run {file.path}: {one_line(error)}") from error
        provider = self._session.get_providers()[0]
        if provider != wanted:
            raise EngineUnavailable(f"ONNX Runtime offers {wanted} but runs {provider}: CUDA or cuDNN can't be loaded")
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._frames_in = file.io == "frames"
        self.info = EngineInfo("onnxruntime", provider, file.precision, file.spec, shape, file.sha256)

    def _load(self, frames: U8) -> None:
        array = np.ascontiguousarray(frames) if self._frames_in else to_tensor(frames, self.info.spec.input)
        self._value = self._ort_value.ortvalue_from_numpy(array, self._device, 0)  # on the CPU, `array` itself
        # A new binding for each input: an old one keeps its output's buffer, which may have another shape.
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(self._input, self._value)
        self._binding.bind_output(self._output, self._device, 0)

    def enqueue(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def sync(self) -> None:
        self._binding.synchronize_outputs()

    def fetch(self) -> U8:
        output = self._binding.get_outputs()[0].numpy()
        # On the CPU `output` is no copy but the runtime's own memory.
        return output.copy() if self._frames_in else labels_of(output)
