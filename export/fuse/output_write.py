"""Logits that all threads write: R s = (2 R s) / 2.

The logits that resize_matmul.py makes end in a Reshape. Where they leave the graph ONNX Runtime copies them there, in
one thread; a product is written there by all of them. Twice a number is exact, and half of that is the number again; a
product by one would be optimised away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.rule import Rule, always
from cgnet_deploy.export.graph import Array, constant, insert, producer, replace, weights


@dataclass(frozen=True, slots=True)
class Match:
    """reshape: of `product`, and the graph's output: its only reader, then. left: the constant in the product."""

    reshape: ir.Node
    product: ir.Node
    left: Array


def pattern(node: ir.Node) -> Match | None:
    if node.op_type != "Reshape" or not node.outputs[0].is_graph_output():
        return None
    product = producer(node.inputs[0], "MatMul")
    left = weights(product.inputs[0]) if product is not None else None
    return None if product is None or left is None else Match(node, product, left)


def rewrite(match: Match) -> None:
    node, product = match.reshape, match.product
    product.replace_input_with(0, constant(product, 2 * match.left, f"{product.name}.twice"))
    doubled = insert(node, "Reshape", node.inputs, name=node.name or "")
    doubled.shape = node.outputs[0].shape
    half = constant(node, np.array(0.5, np.float32), f"{node.name}.half")
    replace(node.outputs[0], insert(node, "Mul", [doubled, half]))


RULE = Rule("output-write", pattern, always, rewrite, int8=False)  # a replay (../replay.py) ends with the resize
