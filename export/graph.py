"""Small helpers over onnx_ir that every graph rewrite shares.

A graph here has one input and one output, static weights as initializers, and nodes in topological order.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as passes

Array = npt.NDArray[np.generic]
MEANS = frozenset({"ReduceMean", "GlobalAveragePool"})  # over the image

Attribute = int | float | str | Sequence[int] | Sequence[float]


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
    found = node.attributes.get(name)
    if found is None:
        return default
    value: Attribute = found.value
    return value


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


def channels(value: ir.Value) -> int | None:
    """The size of axis 1, None where unknown."""
    size = None if value.shape is None or len(value.shape) < 2 else value.shape[1]
    return size if isinstance(size, int) else None


def constant(node: ir.Node, array: Array, label: str) -> ir.Value:
    """A new initializer in the graph of `node`, named `label` and a number if that is taken."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    name = next(n for n in _numbered(label) if n not in graph.initializers)
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)  # ascontiguousarray makes scalars 1-d
    value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
    graph.register_initializer(value)
    return value


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
    passes.ShapeInferencePass()(model)
    seen: set[str] = set()
    for node in model.graph:
        node.name = next(n for n in _numbered(node.name or node.op_type) if n not in seen)
        seen.add(node.name)


def count_ops(model: ir.Model) -> dict[str, int]:
    """How many nodes of each kind, most frequent first."""
    return dict(Counter(node.op_type for node in model.graph).most_common())


def serialise(model: ir.Model) -> bytes:
    content: bytes = ir.to_proto(model).SerializeToString()
    return content


def _numbered(name: str) -> itertools.chain[str]:
    return itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
