"""An f32 graph -> the same graph in f16, strongly typed: TensorRT 11 has no FP16 flag, the file decides.

Every convolution and what lies between them becomes f16; casts stand where a type changes. Kept in f32:

- the way from the u8 frame to the first convolution (f16 would round the mean by up to 0.03 grey levels);
- the global context, from the pool to the sigmoid: a sum over 1/8 of 1024x2048 leaves the range of f16, and
  the tensors are tiny;
- what makes, reads or holds values out of the range: see `out_of_range`.

Weights below the smallest f16 step become zero, which moves a sum by less than its own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from cgnet_deploy.export.graph import constant, global_context, serialise, tidy, weights
from cgnet_deploy.export.runtime import run_onnx

F16, F32 = ir.DataType.FLOAT16, ir.DataType.FLOAT
LIMIT = 65504 / 2  # half of f16's range: what was observed on a few frames needs room

FIRST = frozenset({"Conv", "AveragePool"})


def out_of_range(model: ir.Model, inputs: Sequence[npt.NDArray[np.generic]]) -> frozenset[str]:
    """Names of the nodes whose weights exceed half of f16's range, or whose outputs or inputs do on `inputs`."""
    probe = model.clone()
    # Reduced in the graph: the maps themselves fill gigabytes.
    peaks = [_peak(probe, node) for node in list(probe.graph) if node.outputs[0].dtype == F32]
    probe.graph.outputs.extend(peaks)
    overflow = {node.name or "" for node in model.graph for v in node.inputs if _largest(weights(v)) > LIMIT}
    nodes = [node for node in model.graph if node.outputs[0].dtype == F32]
    for outputs in run_onnx(serialise(probe), inputs):
        for node, peak in zip(nodes, outputs[1:], strict=True):
            if peak > LIMIT:  # a reader would cast it to infinity, however small what it makes of it
                overflow |= {reader.name or "" for reader in (node, *(use.node for use in node.outputs[0].uses()))}
    return frozenset(overflow)


def _peak(probe: ir.Model, node: ir.Node) -> ir.Value:
    """max |x| over what `node` gives, a new scalar at the end of the graph."""
    size = ir.node("Abs", [node.outputs[0]])
    peak = ir.node("ReduceMax", size.outputs, {"keepdims": 0})
    probe.graph.extend([size, peak])
    value = peak.outputs[0]
    value.type, value.shape = ir.TensorType(F32), ir.Shape([])
    return value


def _largest(array: npt.NDArray[np.generic] | None) -> float:
    if array is None or array.dtype != np.float32 or array.size == 0:
        return 0.0
    return float(np.abs(array).max())  # NaN compares false: a graph that gives NaN fails its verification


def to_half(model: ir.Model, keep: frozenset[str]) -> None:
    """Make `model` f16 in place, but for the nodes named in `keep`. Its input and output keep their types."""
    cache: dict[tuple[int, ir.DataType], ir.Value] = {}
    single = _kept_nodes(model, keep)
    for node in list(model.graph):
        if node.op_type == "QuantizeLinear":  # its scale has the type of what it reads
            value = node.inputs[0]
            wanted = F16 if value is not None and value.dtype == F16 else F32
        elif node.outputs[0].dtype not in (F16, F32) or node.op_type == "Cast":
            continue  # integers: shapes and labels; a Cast says its type itself
        else:
            wanted = F32 if node in single else F16
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in (F16, F32) and value.dtype != wanted and _is_data(node, index):
                node.replace_input_with(index, _cast(node, value, wanted, cache))
        for value in node.outputs:
            if value.dtype in (F16, F32):
                value.type = ir.TensorType(wanted)
    if model.graph.outputs[0].dtype == F16:
        _restore_output(model)
    tidy(model)


def _kept_nodes(model: ir.Model, keep: frozenset[str]) -> set[ir.Node]:
    """The nodes that stay f32: before the first convolution, in the global context, or in `keep`."""
    kept = global_context(model)
    halved: set[ir.Value] = set()  # computed from the first convolution on
    for node in model.graph:
        if node not in kept and node.op_type not in FIRST and not halved.intersection(node.inputs):
            kept.add(node)
            continue
        if (node.name or "") in keep:
            kept.add(node)
        halved |= set(node.outputs)
    # A cast between a DequantizeLinear and its convolution would keep the two from becoming one int8 kernel.
    for node in model.graph:
        if node.op_type == "DequantizeLinear":
            kept.discard(node)
            kept |= {node} if all(use.node in kept for use in node.outputs[0].uses()) else set()
    return kept


def _is_data(node: ir.Node, index: int) -> bool:
    return not (node.op_type == "Resize" and index in (1, 2))  # roi and scales are f32 by definition


def _cast(node: ir.Node, value: ir.Value, to: ir.DataType, cache: dict[tuple[int, ir.DataType], ir.Value]) -> ir.Value:
    key = (id(value), to)
    if key not in cache:
        array = weights(value)
        if array is not None:
            cache[key] = constant(node, array.astype(to.numpy()), value.name or "constant")
        else:
            cast = ir.node("Cast", [value], {"to": int(to)}, name=f"{node.name}/Cast")
            node.prepend(cast)
            cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(to), value.shape
            cache[key] = cast.outputs[0]
    return cache[key]


def _restore_output(model: ir.Model) -> None:
    """Give `logits` as f32 whatever made them."""
    graph = model.graph
    half = graph.outputs[0]
    cast = ir.node("Cast", [half], {"to": int(F32)}, name="logits/Cast")
    graph.append(cast)
    output = cast.outputs[0]
    output.name, half.name = half.name, None
    output.type, output.shape = ir.TensorType(F32), half.shape
    graph.outputs[0] = output
