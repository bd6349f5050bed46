"""Small helpers over onnx_ir that every graph rewrite shares.

A graph here has one input and one output, static weights as initializers, and nodes in topological order.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as passes

from cgnet_deploy.export.shapes import infer_shapes

Array = npt.NDArray[np.generic]
MEANS = frozenset({"ReduceMean", "GlobalAveragePool"})  # over the image

Attribute = int | float | str | Sequence[int] | Sequence[float]
T = TypeVar("T")


def required(value: T | None, what: str) -> T:
    """`value`, or ValueError: every graph made here has it."""
    if value is None:
        raise ValueError(f"{what} is missing in this graph")
    return value


def operand(node: ir.Node, index: int = 0) -> ir.Value:
    """An input that `node` must have."""
    return required(node.inputs[index], f"input {index} of {node.name}")


def operands(node: ir.Node) -> list[ir.Value]:
    """The inputs that are there."""
    return [value for value in node.inputs if value is not None]


def weights(value: ir.Value | None) -> Array | None:
    """The array behind an initializer, None for anything computed or absent."""
    if value is None or not value.is_initializer() or value.const_value is None:
        return None
    return value.const_value.numpy()


def producer(value: ir.Value | None, *ops: str) -> ir.Node | None:
    """The node that makes `value`, if it is one of `ops`."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type in ops else None


def sole_user(value: ir.Value) -> ir.Node | None:
    """The only node that reads `value`, None if there are others or it leaves the graph."""
    users = {use.node for use in value.uses()}
    return users.pop() if len(users) == 1 and not value.is_graph_output() else None


def attribute(node: ir.Node, name: str, default: Attribute) -> Attribute:
    """A node's attribute, or what ONNX says it is when absent."""
    stored = node.attributes.get(name)
    value: Attribute = default if stored is None else stored.value
    return value


def integer(node: ir.Node, name: str, default: int) -> int:
    """An attribute that is one integer."""
    value = attribute(node, name, default)
    if not isinstance(value, int):
        raise ValueError(f"{name} of {node.name} is {value!r}, not an integer")
    return value


def integers(node: ir.Node, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    value = attribute(node, name, default)
    if isinstance(value, int | float | str):
        raise ValueError(f"{name} of {node.name} is {value!r}, not a list of integers")
    return tuple(int(each) for each in value)


def over_image(mean: ir.Node) -> bool:
    """Whether a ReduceMean takes the mean over height and width, and nothing else."""
    axes = weights(mean.inputs[1]) if len(mean.inputs) > 1 else None
    return axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1])


def global_context(model: ir.Model) -> set[ir.Node]:
    """The nodes from a mean over the image to the sigmoid of a gate."""
    nodes: set[ir.Node] = set()
    within: set[ir.Value] = set()
    for node in model.graph:
        computed = {value for value in node.inputs if value is not None and not value.is_initializer()}
        if node.op_type in MEANS or (computed and computed <= within):
            nodes.add(node)
            within |= set() if node.op_type == "Sigmoid" else set(node.outputs)
    return nodes


def channels(value: ir.Value | None) -> int | None:
    """The size of axis 1, None where unknown."""
    size = None if value is None or value.shape is None or len(value.shape) < 2 else value.shape[1]
    return size if isinstance(size, int) else None


def fixed_size(value: ir.Value | None) -> tuple[int, int] | None:
    """(H, W) of a map (N, C, H, W), None where one is open or unknown."""
    if value is None or value.shape is None or len(value.shape) != 4:
        return None
    height, width = value.shape[2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def part_sizes(concat: ir.Node) -> tuple[int, ...]:
    """The channels of each part of a concat of channels, 0 where unknown."""
    return tuple(channels(part) or 0 for part in operands(concat))


def constant(node: ir.Node, array: Array, label: str) -> ir.Value:
    """A new initializer in the graph of `node`, named `label` and a number if that is taken."""
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    name = next(n for n in _numbered(label) if n not in graph.initializers)
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)  # ascontiguousarray makes scalars 1-d
    value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
    graph.register_initializer(value)
    return value


def per_channel(node: ir.Node, values: npt.NDArray[np.floating[Any]], label: str) -> ir.Value:
    """A constant (C, 1, 1) f32 of values (C,)."""
    return constant(node, values.astype(np.float32)[:, None, None], label)


def insert(
    anchor: ir.Node, op: str, inputs: Sequence[ir.Value | None], *, name: str = "", **attributes: Attribute
) -> ir.Value:
    """A new node just before `anchor`, named after it; its output has the first input's type."""
    node = ir.node(op, inputs, attributes, name=name or f"{anchor.name}/{op}")
    anchor.prepend(node)
    output = node.outputs[0]
    first = next(v for v in inputs if v is not None)
    output.type = first.type
    return output


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let everything that reads `old`, the graph's output included, read `new`."""
    if old.is_graph_output():
        new.name, old.name = old.name, None
    new.shape = new.shape or old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def tidy(model: ir.Model) -> None:
    """Drop what nothing reads, merge what is computed twice, infer shapes, give unique names."""
    for step in (
        passes.IdentityEliminationPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.TopologicalSortPass(),
    ):
        step(model)
    infer_shapes(model)
    seen: set[str] = set()
    for node in model.graph:
        node.name = next(n for n in _numbered(node.name or node.op_type) if n not in seen)
        seen.add(node.name)


def count_ops(model: ir.Model) -> dict[str, int]:
    """How many nodes of each kind, most frequent first."""
    return dict(Counter(node.op_type for node in model.graph).most_common())


def count_macs(model: ir.Model) -> int | None:
    """Multiply-adds of the convolutions for one image; None where the size is open."""
    each = [macs_of(node) for node in model.graph if node.op_type == "Conv"]
    return None if None in each else sum(macs or 0 for macs in each)


def macs_of(conv: ir.Node) -> int | None:
    """Multiply-adds of one convolution for one image; None where the size is open."""
    shape, kernel = conv.outputs[0].shape, weights(conv.inputs[1])
    sides = [] if shape is None else [side for side in shape[2:] if isinstance(side, int)]
    return None if kernel is None or len(sides) != 2 else math.prod(sides) * kernel.size


def serialise(model: ir.Model) -> bytes:
    content: bytes = ir.to_proto(model).SerializeToString()
    return content


def _numbered(name: str) -> itertools.chain[str]:
    return itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
