"""A concat of concats as one concat."""

from __future__ import annotations

import onnx_ir as ir

from cgnet_deploy.export.fuse.rule import Rule, always
from cgnet_deploy.export.graph import attribute, insert, producer, replace


def pattern(node: ir.Node) -> ir.Node | None:
    return node if node.op_type == "Concat" and any(_inner(node, value) for value in node.inputs) else None


def _inner(node: ir.Node, value: ir.Value | None) -> ir.Node | None:
    inner = producer(value, "Concat")
    return inner if inner is not None and attribute(inner, "axis", 0) == attribute(node, "axis", 0) else None


def rewrite(node: ir.Node) -> None:
    parts: list[ir.Value | None] = []
    for value in node.inputs:
        inner = _inner(node, value)
        parts += inner.inputs if inner else [value]
    axis = attribute(node, "axis", 0)
    replace(node.outputs[0], insert(node, "Concat", parts, name=node.name or "", axis=axis))


RULE = Rule("concat-flat", pattern, always, rewrite)
