"""Running a graph that is being made, to verify it or to watch it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.engines.ort import session_options
from cgnet_deploy.errors import require

Outputs = list[npt.NDArray[Any]]


def stream_onnx(content: bytes, inputs: Iterable[npt.NDArray[np.generic]]) -> Iterator[Outputs]:
    """All outputs of an ONNX graph on each of `inputs`, computed one by one, by ONNX Runtime on the CPU."""
    ort = require("onnxruntime", extra="ort")
    session = ort.InferenceSession(content, session_options(ort), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for array in inputs:
        yield session.run(None, {name: array})


def run_onnx(content: bytes, inputs: Sequence[npt.NDArray[np.generic]]) -> list[Outputs]:
    """All outputs of an ONNX graph on each of `inputs`."""
    return list(stream_onnx(content, inputs))


def run_single(content: bytes, inputs: Sequence[npt.NDArray[np.generic]]) -> Outputs:
    """The only output of an ONNX graph on each of `inputs`."""
    return [outputs[0] for outputs in run_onnx(content, inputs)]
