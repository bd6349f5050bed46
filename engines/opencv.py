"""OpenCV's dnn module on the CPU: it is installed wherever this package is, so any machine can run a file.

Its number of threads is the process's, whatever engine there asks for it last.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.base import Engine, EngineInfo, GraphEngine
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, CgnetError, one_line
from cgnet_deploy.pixels import U8


def open(request: Request) -> Engine:
    return OpencvEngine(*requested(request), threads=request.threads)


def probe() -> str:
    return f"opencv {cv2.__version__}"


class OpencvEngine(GraphEngine):
    """An ONNX file in cv2.dnn. shape: the (N, H, W) to take. threads: None leaves it to OpenCV."""

    def __init__(self, file: OnnxFile, shape: Shape, *, threads: int | None = None) -> None:
        if threads is not None:
            cv2.setNumThreads(threads)
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(file.content, np.uint8))
        except cv2.error as error:
            raise ArtifactError(f"OpenCV {cv2.__version__} can't run {file.path}: {one_line(error)}") from error
        self._path, self._ends = file.path, file.ends
        self.info = EngineInfo("opencv", "CPU", file.precision, file.spec, shape, file.sha256, file.assumed)

    def _load(self, frames: U8) -> None:
        self._input = self._prepared(frames)
        self._net.setInput(self._input)

    def enqueue(self) -> None:
        try:
            self._result = self._net.forward()
        except cv2.error as error:
            raise CgnetError(f"OpenCV {cv2.__version__} can't run {self._path}: {one_line(error)}") from error

    def sync(self) -> None:
        """Nothing to wait for: `enqueue` returns when it is done."""

    def _output(self) -> Any:
        whole = self._ends.gives == "labels" and self._result.dtype.kind == "f"  # before OpenCV 5 all it gives is f32
        return self._result.astype(np.int32) if whole else self._result
