"""The shapes and types of what a rewrite has made.

A rewrite leaves most of a graph alone, and inference of the whole of it takes longer than all rules together. So only
the nodes whose results have no shape yet are inferred, as a graph of their own. One with open sizes is inferred as a
whole: what its sizes are called is known there alone.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes

from cgnet_deploy.errors import require

LARGE = 64  # elements: tensors below it may be sizes, whose values decide shapes


def infer_shapes(model: ir.Model) -> None:
    """Give every value of `model` its shape and type."""
    new = [node for node in model.graph if not all(map(_is_known, node.outputs))]
    if new and _is_fixed(model.graph.inputs[0]):
        _infer(model, new)
        new = [node for node in new if not all(map(_is_known, node.outputs))]
    if new:
        passes.ShapeInferencePass()(model)


def _is_fixed(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()


def _is_known(value: ir.Value) -> bool:
    return value.type is not None and _is_fixed(value)


def _infer(model: ir.Model, nodes: list[ir.Node]) -> None:
    """Shapes of what `nodes` compute, from those of what they read."""
    onnx = require("onnx", extra="export")
    made = {value.name: value for node in nodes for value in node.outputs}
    read = {value.name: value for node in nodes for value in node.inputs if value is not None}
    given = [value for name, value in read.items() if name not in made]
    held = [value.const_value for value in given if value.const_value is not None and value.const_value.size < LARGE]
    part = onnx.helper.make_graph(
        [ir.serde.serialize_node(node) for node in nodes],
        "new",
        [ir.serde.serialize_value(value) for value in given],
        [],
        [ir.serde.serialize_tensor(tensor) for tensor in held],
    )
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    whole = onnx.helper.make_model(part, opset_imports=opsets, ir_version=model.ir_version)
    inferred = onnx.shape_inference.infer_shapes(whole, check_type=True, strict_mode=True, data_prop=True)
    for info in inferred.graph.value_info:
        found = ir.from_proto(info)
        made[info.name].shape, made[info.name].type = found.shape, found.type
