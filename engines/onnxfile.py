"""An ONNX file before a runtime sees it: one of ours, described by its sidecar or its metadata, or one from outside.

A file from outside is untrusted. Its size is bounded, weights kept in other files are refused, and what it
takes and gives is read from the graph: (N, 3, H, W) f32 in, (N, K, H, W) f32 out. How a frame becomes that
input is not in the file: it follows from a named contract, or from the class count, which is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cgnet_deploy.artifact import IO, MAX_ONNX_BYTES, Shape, has_description, read_artifact, sidecar_path
from cgnet_deploy.contracts import contract_name, model_spec
from cgnet_deploy.engines.outside import keeps_data_outside
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, one_line, require
from cgnet_deploy.files import sha256_of
from cgnet_deploy.spec import ModelSpec, Precision

log = logging.getLogger(__name__)

PUBLISHED_BLOCKS = (3, 21)


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """content: the bytes of the file. io, shape: as in Artifact."""

    path: Path
    content: bytes = field(repr=False)
    precision: Precision
    spec: ModelSpec
    io: IO
    shape: Shape
    sha256: str


def requested(request: Request) -> tuple[OnnxFile, Shape]:
    """The file that an engine is opened for, and the (N, H, W) to open it for."""
    file = read_onnx(request.path, request.contract)
    request.check_contract(file.spec)
    return file, request.shape_within(file.shape)


def read_onnx(path: Path, contract: str | None = None) -> OnnxFile:
    """Read and check the file at `path`.

    contract: of a file from outside; one of ours has its own. Raises ArtifactError for a file that
    can't be used, UsageError if there is no such contract, or none is known for the class count.
    """
    if path.is_file() and path.stat().st_size > MAX_ONNX_BYTES:
        raise ArtifactError(f"{path} is larger than {MAX_ONNX_BYTES >> 20} MiB: not a CGNet")
    if path.is_file() and not has_description(path):
        return _foreign(path, contract)
    artifact = read_artifact(path)
    if artifact.kind != "onnx":
        raise ArtifactError(f"{path} is a {artifact.kind}, wanted an ONNX file")
    return OnnxFile(
        path, _content(path), artifact.precision, artifact.spec, artifact.io, artifact.shape, artifact.sha256
    )


def _content(path: Path) -> bytes:
    """The bytes of the file. Raises ArtifactError if they are no ONNX file, or name others."""
    content = path.read_bytes()
    with _invalid(path):
        outside = keeps_data_outside(content)
    if outside:
        raise ArtifactError(f"{path} keeps weights in other files, which is refused; save it as one file")
    return content


def _foreign(path: Path, contract: str | None) -> OnnxFile:
    sha256 = sha256_of(path)
    content = _content(path)
    onnx = require("onnx", extra="export")
    with _invalid(path):
        graph = onnx.load_from_string(content).graph
    with _invalid(path):
        onnx.checker.check_model(content)  # not before: it opens the other files
    classes, shape = _classes_and_shape(path, onnx, graph)
    name = contract or contract_name("official", classes)
    if contract is None:
        log.info(f"{path} has no sidecar: with {classes} classes its input contract is taken to be {name}")
    # The depth can't be seen from outside and nothing here depends on it.
    spec = model_spec(name, classes, PUBLISHED_BLOCKS)
    return OnnxFile(path, content, _precision(onnx, graph), spec, "tensor", shape, sha256)


def _classes_and_shape(path: Path, onnx: Any, graph: Any) -> tuple[int, Shape]:
    """K and the input's (N, H, W) of a graph from a tensor to logits. Raises ArtifactError for any other graph."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]  # before IR 4 weights are inputs too
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ArtifactError(f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs, wanted 1 and 1")
    source, result = (value.type.tensor_type for value in (inputs[0], graph.output[0]))
    if source.elem_type == onnx.TensorProto.UINT8:
        raise ArtifactError(
            f"{path} takes raw frames but has no sidecar {sidecar_path(path).name} to say what its labels mean; "
            "keep the two together, or export it again with cgnet-export"
        )
    takes, gives = ([max(side.dim_value, 0) or None for side in tensor.shape.dim] for tensor in (source, result))
    f32 = onnx.TensorProto.FLOAT
    if (source.elem_type, result.elem_type) != (f32, f32) or len(takes) != 4 or takes[1] != 3 or len(gives) != 4:
        raise ArtifactError(f"{path} is not a segmentation network from (N, 3, H, W) f32 to (N, K, H, W) f32")
    if gives[1] is None:
        raise ArtifactError(f"{path} doesn't say how many classes its logits have")
    return gives[1], (takes[0], takes[2], takes[3])


@contextmanager
def _invalid(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # protobuf's and the checker's errors share no base class
        raise ArtifactError(f"{path} is not a valid ONNX file: {one_line(error)}") from error


def _precision(onnx: Any, graph: Any) -> Precision:
    """The type in which most of the graph's convolutions run, by their stored weights."""
    if any(node.op_type in ("QuantizeLinear", "QLinearConv", "ConvInteger") for node in graph.node):
        return Precision.INT8
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [types.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    return Precision.F16 if 2 * weights.count(onnx.TensorProto.FLOAT16) > len(weights) else Precision.F32
