"""The global context of a block, as the rules that rewrite it see it.

x -> mean over H, W -> linear (C -> 8) -> relu -> linear (8 -> C) -> sigmoid -> (N, C, 1, 1) -> times x
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import F64
from cgnet_deploy.export.graph import attribute, producer, weights

RESHAPES = ("Unsqueeze", "Reshape", "Slice")


@dataclass(frozen=True, slots=True)
class Gate:
    """squeeze, excite: (weight (out, in), bias (out,)). product: the node that applies the gate."""

    product: ir.Node
    scaled: ir.Value  # what the gate multiplies
    factor: ir.Value  # by what: the gate, (N, C, 1, 1)
    value: ir.Value  # the gate, (N, C)
    pool: ir.Node
    squeeze: tuple[F64, F64]
    excite: tuple[F64, F64]


def gate(node: ir.Node) -> Gate | None:
    """The gate that `node`, a product, applies."""
    if node.op_type != "Mul":
        return None
    for scaled, value in (node.inputs, tuple(reversed(node.inputs))):
        if scaled is None or value is None:
            continue
        opened = _through(value)
        sigmoid = producer(opened, "Sigmoid")
        excite = producer(sigmoid.inputs[0], "Gemm") if sigmoid else None
        relu = producer(excite.inputs[0], "Relu") if excite else None
        squeeze = producer(relu.inputs[0], "Gemm") if relu else None
        pool = producer(squeeze.inputs[0], "ReduceMean") if squeeze else None
        if opened is None or excite is None or squeeze is None or pool is None:
            continue
        first, second = _linear(squeeze), _linear(excite)
        if first is not None and second is not None:
            return Gate(node, scaled, value, opened, pool, first, second)
    return None


def _through(value: ir.Value | None) -> ir.Value | None:
    while (node := producer(value, *RESHAPES)) is not None:
        value = node.inputs[0]
    return value


def _linear(gemm: ir.Node) -> tuple[F64, F64] | None:
    weight, bias = weights(gemm.inputs[1]), weights(gemm.inputs[2])
    plain = attribute(gemm, "alpha", 1.0) == 1.0 and attribute(gemm, "beta", 1.0) == 1.0
    if weight is None or bias is None or not plain or attribute(gemm, "transA", 0) != 0:
        return None
    matrix = np.asarray(weight, np.float64)
    return (matrix if attribute(gemm, "transB", 0) else matrix.T), np.asarray(bias, np.float64)
