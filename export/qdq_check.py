"""What is wrong with the Q/DQ pairs of a graph: patterns that TensorRT refuses, or that keep int8 from its kernels.

Every int8 file is checked before it is written.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.graph import attribute, producer, required, weights
from cgnet_deploy.export.quantize import ZERO, Storage

ACTIVATIONS = frozenset({"PRelu", "Relu", "Max", "Min"})  # what each form of a PReLU begins with
THROUGH = frozenset({"Concat", "QuantizeLinear", "DequantizeLinear"})


def faults(model: ir.Model, storage: Storage = "s8", *, raw_results: bool = False) -> tuple[str, ...]:
    """One line for each, () for a graph that is in order. raw_results: pairs may stand on raw results."""
    return tuple(fault for node in model.graph for fault in _faults(node, storage, raw_results))


def _faults(node: ir.Node, storage: Storage, raw_results: bool) -> Iterator[str]:
    match node.op_type:
        case "QuantizeLinear" if not raw_results:
            yield from _before_activation(node)
        case "DequantizeLinear":
            yield from _scale(node)
            yield from _stored(node) if weights(node.inputs[0]) is not None else _activation(node, storage)
        case "Conv":
            yield from _convolution(node, raw_results)


def _before_activation(node: ir.Node) -> Iterator[str]:
    x = node.inputs[0]
    concat = producer(x, "Concat")
    sources = concat.inputs if concat else [x]
    raw = [conv.name for value in sources if (conv := producer(value, "Conv"))]
    if raw and x is not None and _leads_to_activation(x):
        yield f"{node.name} stands between {raw[0]} and its activation"


def _leads_to_activation(value: ir.Value) -> bool:
    """Whether an activation reads `value`, perhaps in a concat or through int8."""
    readers = [use.node for use in value.uses()]
    return any(node.op_type in ACTIVATIONS for node in readers) or any(
        _leads_to_activation(node.outputs[0]) for node in readers if node.op_type in THROUGH
    )


def _scale(node: ir.Node) -> Iterator[str]:
    scale = weights(node.inputs[1])
    if scale is None or not (np.asarray(scale, np.float64) > 0).all() or not np.isfinite(scale).all():
        yield f"{node.name} has a scale that is not a positive constant"


def _activation(node: ir.Node, storage: Storage) -> Iterator[str]:
    quantize = producer(node.inputs[0], "QuantizeLinear")
    if quantize is None:
        yield f"{node.name} reads integers that no QuantizeLinear made"
        return
    for each in (quantize, node):
        scale, zero = weights(each.inputs[1]), weights(each.inputs[2]) if len(each.inputs) > 2 else None
        if scale is not None and scale.size != 1:
            yield f"{each.name} has {scale.size} scales, an activation has one"
        if zero is None or zero.dtype != ZERO[storage].dtype or (zero != ZERO[storage]).any():
            yield f"{each.name} is not symmetric {storage} (zero point {zero})"
    if quantize.inputs[1] is not node.inputs[1] and not _equal(quantize.inputs[1], node.inputs[1]):
        yield f"{quantize.name} and {node.name} have different scales"


def _equal(one: ir.Value | None, other: ir.Value | None) -> bool:
    a, b = weights(one), weights(other)
    return a is not None and b is not None and bool((a.astype(np.float64) == b.astype(np.float64)).all())


def _stored(node: ir.Node) -> Iterator[str]:
    levels, scale = required(weights(node.inputs[0]), f"what {node.name} dequantises"), weights(node.inputs[1])
    zero = weights(node.inputs[2]) if len(node.inputs) > 2 else None
    if levels.dtype != np.int8:
        yield f"{node.name} dequantises {levels.dtype}: a bias stays f32, weights are int8"
    elif scale is None or scale.shape != levels.shape[:1] or attribute(node, "axis", 1) != 0:
        yield f"{node.name} has no scale for each filter: {None if scale is None else scale.shape} for {levels.shape}"
    if zero is not None and zero.any():
        yield f"{node.name} has weights that are not symmetric"


def _convolution(node: ir.Node, raw_results: bool) -> Iterator[str]:
    x, kernel = (producer(value, "DequantizeLinear") for value in node.inputs[:2])
    # Where raw results have pairs, the convolutions that are a PReLU's form read them, and stay f32.
    if (x is None) != (kernel is None) and not (raw_results and kernel is None):
        yield f"{node.name} has only one of its inputs in int8"
    if len(node.inputs) > 2 and producer(node.inputs[2], "DequantizeLinear") is not None:
        yield f"{node.name} has a quantised bias"
