"""The last step of a file: its graph in the words of an older opset, which more runtimes read.

Rules work on the opset of trace.py. What an operator has got since is dropped where it says nothing (`antialias = 0`),
and is an attribute again where it was one (the axes of a mean); where a graph needs it, the older opset can't say it.
The IR version is the oldest that has the opset. Sizes of values inside are left out where one of them is open: readers
infer them, and tract takes a symbol there for another one than that of the input.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.export.graph import attribute, serialise, weights

UNSET = {"dilations": (1, 1)}  # what ONNX's text says of an attribute without a default


def finished(model: ir.Model, opset: int) -> bytes:
    """The ONNX file of `model`, which is left as it is. Raises UsageError for what `opset` can't say."""
    onnx = require("onnx", extra="export")
    model = model.clone()
    traced = model.opset_imports[""]
    for node in model.graph:
        newer, older = (onnx.defs.get_schema(node.op_type, version, "") for version in (traced, opset))
        if unknown := _as_attributes(node, newer, older) or _new_attribute(node, newer, older):
            raise UsageError(
                f"opset {opset} has no {unknown} of {node.op_type}, which {node.name or 'this graph'} needs: "
                "choose a newer --opset"
            )
        for value in node.outputs:
            if value.shape is not None and not value.is_graph_output() and not value.shape.is_static():
                value.shape = value.type = None
    model.opset_imports[""] = opset
    model.ir_version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    return serialise(model)


def _as_attributes(node: ir.Node, newer: Any, older: Any) -> str | None:
    """Make attributes of the inputs that are such in the older opset; the name of one that can't be."""
    for index in range(older.max_input, len(node.inputs)):
        name, value = newer.inputs[index].name, node.inputs[index]
        array = weights(value)
        if name not in older.attributes or array is None:
            return str(name)
        node.attributes[name] = ir.AttrInt64s(name, array.ravel().tolist())
    if len(node.inputs) > older.max_input:
        node.resize_inputs(older.max_input)
    return None


def _new_attribute(node: ir.Node, newer: Any, older: Any) -> str | None:
    """Drop the attributes that only the newer opset has, where they say nothing; the name of one that does."""
    for name in set(node.attributes) - set(older.attributes):
        default, value = newer.attributes[name].default_value, attribute(node, name, 0)
        if value != (ir.from_proto(default).value if default.name else UNSET.get(name)):
            return name
        del node.attributes[name]
    return None
