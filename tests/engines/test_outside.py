from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cgnet_deploy.artifact import write_artifact
from cgnet_deploy.engines import outside
from cgnet_deploy.engines.onnxfile import read_onnx
from cgnet_deploy.engines.outside import LEADS, keeps_data_outside
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.spec import Precision
from tests.engines.graphs import FIXED, SPEC, network

Place = Callable[[onnx.ModelProto], object]


def elsewhere() -> TensorProto:
    """A tensor whose data is in another file."""
    kept = numpy_helper.from_array(np.zeros(2, np.float32), "kept")
    onnx.external_data_helper.set_external_data(kept, location="/etc/hostname")
    kept.data_location = TensorProto.EXTERNAL
    kept.ClearField("raw_data")
    return kept


def sparse(*, values: bool = True) -> onnx.SparseTensorProto:
    other = numpy_helper.from_array(np.zeros(2, np.int64), "other")
    pair = (elsewhere(), other) if values else (other, elsewhere())
    return helper.make_sparse_tensor(*pair, [4])


def graph() -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [elsewhere()])


def attribute(**value: object) -> onnx.AttributeProto:
    made = onnx.AttributeProto(name="value")
    for name, part in value.items():
        field = getattr(made, name)
        field.extend(part) if isinstance(part, list) else field.CopyFrom(part)
    return made


def on_a_node(**value: object) -> Place:
    return lambda model: model.graph.node[0].attribute.append(attribute(**value))


def in_an_inner_node(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["x"])
    node.attribute.append(attribute(t=elsewhere()))
    for _ in range(5):
        outer = helper.make_node("If", ["c"], ["x"])
        outer.attribute.append(attribute(g=helper.make_graph([node], "inner", [], [])))
        node = outer
    model.graph.node.append(node)


def in_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["x"])
    node.attribute.append(attribute(t=elsewhere()))
    model.functions.append(helper.make_function("d", "f", [], ["x"], [node], [helper.make_opsetid("", 18)]))


def in_a_functions_default(model: onnx.ModelProto) -> None:
    made = helper.make_function("d", "f", [], [], [], [helper.make_opsetid("", 18)])
    made.attribute_proto.append(attribute(t=elsewhere()))
    model.functions.append(made)


PLACES: dict[str, Place] = {
    "initializer": lambda model: model.graph.initializer.append(elsewhere()),
    "sparse values": lambda model: model.graph.sparse_initializer.append(sparse()),
    "sparse indices": lambda model: model.graph.sparse_initializer.append(sparse(values=False)),
    "attribute": on_a_node(t=elsewhere()),
    "tensor list": on_a_node(tensors=[elsewhere()]),
    "sparse attribute": on_a_node(sparse_tensor=sparse()),
    "sparse list": on_a_node(sparse_tensors=[sparse()]),
    "subgraph": on_a_node(g=graph()),
    "subgraph list": on_a_node(graphs=[graph()]),
    "deep subgraph": in_an_inner_node,
    "function": in_a_function,
    "function default": in_a_functions_default,
    "training": lambda model: model.training_info.add().algorithm.CopyFrom(graph()),
    "initialization": lambda model: model.training_info.add().initialization.CopyFrom(graph()),
}


def described(path: Path, content: bytes) -> None:
    """Write the file with a sidecar."""
    write_artifact(
        path,
        content,
        kind="onnx",
        precision=Precision.F32,
        spec=SPEC,
        io="tensor",
        shape=FIXED,
        parent_sha256=None,
        made_with={},
    )


@pytest.mark.parametrize("sidecar", [False, True], ids=["foreign", "with a sidecar"])
@pytest.mark.parametrize("place", PLACES)
def test_data_in_another_file_is_refused_wherever_it_is_named(tmp_path: Path, place: str, sidecar: bool) -> None:
    model, path = network("tensor", FIXED), tmp_path / "a.onnx"
    assert not keeps_data_outside(model.SerializeToString())
    PLACES[place](model)
    content = model.SerializeToString()
    if sidecar:
        described(path, content)
    else:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.onnx keeps weights in other files, which is refused"):
        read_onnx(Request(path))


def test_every_field_of_onnx_that_leads_to_a_tensor_is_followed() -> None:
    """By the descriptions of the installed onnx, so that a place which a new release adds is noticed."""
    found: dict[str, dict[int, str]] = {}

    def visit(message: Any) -> None:
        if message.name in found:
            return
        fields = {field.number: field.message_type for field in message.fields if field.message_type is not None}
        found[message.name] = {number: kind.name for number, kind in fields.items()}
        for kind in fields.values():
            visit(kind)

    visit(onnx.ModelProto.DESCRIPTOR)
    leading = {"TensorProto"}
    while more := {name for name, leads in found.items() if leading & {*leads.values()}} - leading:
        leading |= more
    reachable = {name: {n: kind for n, kind in found[name].items() if kind in leading} for name in leading}
    assert reachable == LEADS


@pytest.mark.parametrize("location", [b"\x01", b"\x81\x00", b"\x81\x80\x80\x80\x10"], ids=["1", "long 1", "1 + 2**32"])
def test_a_location_is_read_as_protobuf_reads_it(location: bytes) -> None:
    tensor = b"\x70" + location
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    content = b"\x3a" + bytes([len(graph)]) + graph
    assert onnx.load_from_string(content).graph.initializer[0].data_location == TensorProto.EXTERNAL
    assert keeps_data_outside(content)


@pytest.mark.parametrize("content", [b"\x3b", b"\x08", b"\x3a\x05", b"\x00\x00", b"\xff" * 20], ids=bytes.hex)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX file"):
        keeps_data_outside(content)


@pytest.mark.parametrize("limit", ["MAX_DEPTH", "MAX_MESSAGES"])
def test_depth_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(outside, limit, 1)
    with pytest.raises(ValueError, match="nested too deeply, or too large"):
        keeps_data_outside(network("tensor", FIXED).SerializeToString())
