"""Whether the graph of an ONNX file takes and gives what its description says: another tool may have rewritten it.

ModelProto.graph 7, GraphProto.input 11, output 12, ValueInfoProto.type 2, TypeProto.tensor_type 1,
its elem_type 1, its shape 2, TensorShapeProto.dim 1, its dim_value 1 (onnx.proto)
"""

from __future__ import annotations

from collections.abc import Iterator

from cgnet_deploy.artifact import IO, Artifact
from cgnet_deploy.engines.base import input_sides
from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.protobuf import fields, varint

FLOAT, UINT8 = 1, 2  # of TensorProto.DataType
TYPES: dict[IO, tuple[int, int]] = {"frames": (UINT8, UINT8), "tensor": (FLOAT, FLOAT)}


def check_ports(artifact: Artifact, content: bytes) -> None:
    """Raises ArtifactError where graph and description contradict each other; ValueError for what is no ONNX file."""
    graph = next(_within(memoryview(content), 7), memoryview(b""))
    ends = [_port(value) for number in (11, 12) for value in _within(graph, number)]
    sides = tuple(input_sides(artifact.io, artifact.shape))
    classes = artifact.spec.classes
    fits = (
        len(ends) == 2
        and tuple(kind for kind, _ in ends) == TYPES[artifact.io]
        and ends[0][1] == sides
        and (artifact.io == "frames" or ends[1][1][1:2] in ((classes,), (None,)))
    )
    if not fits:
        raise ArtifactError(
            f"{artifact.path} is not what its metadata say, {artifact.io} of {sides} and {classes} classes: it was "
            "altered; export it again with cgnet-export"
        )


def _port(value: memoryview) -> tuple[int, tuple[int | None, ...]]:
    """The type of a tensor, and its sides, None where open."""
    tensor = next(_within(next(_within(value, 2), memoryview(b"")), 1), memoryview(b""))
    kinds = [varint(kind)[0] for kind in _within(tensor, 1)]
    shape = next(_within(tensor, 2), memoryview(b""))
    sides = [[varint(side)[0] for side in _within(dim, 1)] for dim in _within(shape, 1)]
    return (kinds[-1] if kinds else 0), tuple(side[-1] if side else None for side in sides)


def _within(message: memoryview, number: int) -> Iterator[memoryview]:
    return (field.value for field in fields(message) if field.number == number)
