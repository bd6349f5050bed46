"""Whether an ONNX file keeps data in other files, which is refused: such a path may name any file of the machine.

Tensors hide in more places than a graph's initializers: in attributes, sparse tensors, subgraphs, functions and
training graphs. The walk follows every field that can lead to one, whether or not a sidecar describes the file, since
anyone can write a sidecar.
"""

from __future__ import annotations

from cgnet_deploy.protobuf import BYTES, VARINT, fields, varint

MAX_DEPTH = 64  # of messages within each other: a graph in an attribute of a node of a graph is 3
MAX_MESSAGES = 1 << 20
EXTERNAL = 1  # of TensorProto.DataLocation
INT32 = (1 << 32) - 1  # of an enum, protobuf drops the higher bits
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of TensorProto

# Of each message: the fields that lead to a tensor, and the message that each holds (onnx.proto).
LEADS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}


def keeps_data_outside(content: bytes) -> bool:
    """Does a tensor of the file say that its data is in another? Raises ValueError for a file that is no ONNX."""
    waiting, seen = [("ModelProto", memoryview(content), 0)], 0
    while waiting:
        kind, message, depth = waiting.pop()
        leads = LEADS[kind]
        for number, wire, value, _ in fields(message):
            if kind == "TensorProto":
                located = (number, wire) == (DATA_LOCATION, VARINT) and varint(value)[0] & INT32 == EXTERNAL
                if located or number == EXTERNAL_DATA:
                    return True
            elif wire == BYTES and number in leads:
                waiting.append((leads[number], value, depth + 1))
                seen += 1
                if depth >= MAX_DEPTH or seen > MAX_MESSAGES:
                    raise ValueError("nested too deeply, or too large")
    return False
