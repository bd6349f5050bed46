"""An ONNX file before a runtime sees it: one of ours, described by its sidecar or its metadata, or one from outside.

A file from outside is untrusted: its size is bounded, and weights kept in other files are refused. What it takes and
gives, and what has to be assumed of it, is in foreign.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgnet_deploy.artifact import MAX_ONNX_BYTES, Shape, has_description, read_artifact
from cgnet_deploy.engines.base import Ends
from cgnet_deploy.engines.foreign import Port, describe
from cgnet_deploy.engines.outside import keeps_data_outside
from cgnet_deploy.engines.ports import check_ports
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, CgnetError, one_line, require
from cgnet_deploy.files import sha256_of
from cgnet_deploy.lookup import no_file
from cgnet_deploy.spec import ModelSpec, Precision


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """content: the bytes of the file. shape: (N, H, W), None where open. assumed: as in `EngineInfo`."""

    path: Path
    content: bytes = field(repr=False)
    precision: Precision
    spec: ModelSpec
    ends: Ends
    shape: Shape
    sha256: str
    assumed: tuple[str, ...] = ()


def requested(request: Request) -> tuple[OnnxFile, Shape]:
    """The file that an engine is opened for, and the (N, H, W) to open it for."""
    file = read_onnx(request)
    return file, request.shape_within(file.shape)


def read_onnx(request: Request) -> OnnxFile:
    """Read and check the file that an engine is asked for.

    Raises ArtifactError for a file that can't be used, UsageError if it was made for another contract, or comes from
    outside and nobody says what it needs to know.
    """
    path = request.path
    is_there = no_file(path) is None
    if is_there and path.stat().st_size > MAX_ONNX_BYTES:
        raise ArtifactError(f"{path} is larger than {MAX_ONNX_BYTES >> 20} MiB: not a CGNet")
    if is_there and not has_description(path):
        return _foreign(request)
    artifact = read_artifact(path)
    if artifact.kind != "onnx":
        raise ArtifactError(f"{path} is a {artifact.kind}, wanted an ONNX file")
    request.check_contract(artifact.spec)
    ends, content = Ends.of(artifact.io), _content(path)
    with _invalid(path):
        check_ports(artifact, content)
    return OnnxFile(path, content, artifact.precision, artifact.spec, ends, artifact.shape, artifact.sha256)


def _content(path: Path) -> bytes:
    """The bytes of the file. Raises ArtifactError if they are no ONNX file, or name others."""
    content = path.read_bytes()
    with _invalid(path):
        outside = keeps_data_outside(content)
    if outside:
        raise ArtifactError(f"{path} keeps weights in other files, which is refused; save it as one file")
    return content


def _foreign(request: Request) -> OnnxFile:
    path = request.path
    sha256 = sha256_of(path)
    content = _content(path)
    onnx = require("onnx", extra="export")
    with _invalid(path):
        model = onnx.load_from_string(content)
        onnx.checker.check_model(content)
    source, result = _ports(path, onnx, model.graph)
    it = describe(request, source, result, {entry.key: entry.value for entry in model.metadata_props})
    return OnnxFile(path, content, _precision(onnx, model.graph), it.spec, it.ends, it.shape, sha256, it.assumed)


def _ports(path: Path, onnx: Any, graph: Any) -> tuple[Port, Port]:
    """The only input and the only output. Raises ArtifactError where there are others."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]  # before IR 4 weights are inputs too
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ArtifactError(f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs, wanted 1 and 1")
    source, result = (value.type.tensor_type for value in (inputs[0], graph.output[0]))
    return _port(path, onnx, source), _port(path, onnx, result)


def _port(path: Path, onnx: Any, tensor: Any) -> Port:
    with _invalid(path):
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return Port(kind, tuple(max(side.dim_value, 0) or None for side in tensor.shape.dim))


@contextmanager
def _invalid(path: Path) -> Iterator[None]:
    try:
        yield
    except CgnetError:
        raise
    except Exception as error:  # protobuf's and the checker's errors share no base class
        raise ArtifactError(f"{path} is not a valid ONNX file: {one_line(error)}") from error


def _precision(onnx: Any, graph: Any) -> Precision:
    """The type in which most of the graph's convolutions run, by their stored weights."""
    if any(node.op_type in ("QuantizeLinear", "QLinearConv", "ConvInteger") for node in graph.node):
        return Precision.INT8
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [types.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    return Precision.F16 if 2 * weights.count(onnx.TensorProto.FLOAT16) > len(weights) else Precision.F32
