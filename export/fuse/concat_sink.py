"""An operator over a concat of channels as a concat of operators: f(concat(x_i), y) = concat(f(x_i, y_i)).

Applied until it settles, a concat sinks through everything that treats channels alone, until a convolution
takes its parts as a sum (concat_conv.py): then nothing is ever copied together. `y` may be constant, a value
per channel and image, or another concat of the same parts. A convolution by a gate (gate_conv.py) treats channels
alone too: its kernel and bias are split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse.linear import is_scaling, split
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import (
    attribute,
    constant,
    insert,
    operands,
    over_image,
    part_sizes,
    producer,
    replace,
    required,
    weights,
)

CHANNELWISE = frozenset({"PRelu", "Relu", "Sigmoid", "Mul", "Add", "Max", "Min", "ReduceMean", "GlobalAveragePool"})
SETTINGS = frozenset({"ReduceMean"})  # its inputs after the first say how, for all channels alike


@dataclass(frozen=True, slots=True)
class Match:
    node: ir.Node
    concat: ir.Node
    sizes: tuple[int, ...]  # channels of each part, () if one is unknown


def pattern(node: ir.Node) -> Match | None:
    if node.op_type not in CHANNELWISE and not is_scaling(node):
        return None
    for value in node.inputs:
        concat = producer(value, "Concat")
        if concat is not None and attribute(concat, "axis", 0) == 1:
            sizes = part_sizes(concat)
            return Match(node, concat, sizes if all(sizes) else ())
    return None


def check(match: Match) -> str | None:
    if not match.sizes:
        return f"a part of {match.concat.name} has an unknown number of channels"
    if match.node.op_type in SETTINGS and not over_image(match.node):
        return f"{match.node.name} changes more than height and width"
    alone = match.node.op_type in SETTINGS or is_scaling(match.node)
    for value in match.node.inputs[: 1 if alone else None]:
        if value is not None and not _divisible(value, match.sizes):
            return f"{value.name} can't be split as {match.concat.name} is"
    return None


def rewrite(match: Match) -> None:
    node = match.node
    attributes = {name: attribute(node, name, 0) for name in node.attributes}
    first, *others = operands(node)
    columns: list[tuple[ir.Value | None, ...]]
    if node.op_type in SETTINGS:
        columns = [(part, *others) for part in _parts(node, first, match.sizes)]
    elif is_scaling(node):
        scales = [_split(node, value, match.sizes, axis=0) for value in others]
        columns = list(zip(_parts(node, first, match.sizes), *scales, strict=True))
    else:
        columns = list(zip(*(_parts(node, value, match.sizes) for value in (first, *others)), strict=True))
    own = [{**attributes, "group": size} if "group" in attributes else attributes for size in match.sizes]
    parts = [
        insert(node, node.op_type, list(column), name=node.name or "", **settings)
        for column, settings in zip(columns, own, strict=True)
    ]
    shape = node.outputs[0].shape
    for part, size in zip(parts, match.sizes, strict=True):  # set at once: a chain takes one sweep, not one a node
        part.shape = None if shape is None else ir.Shape([shape[0], size, *shape[2:]])
    replace(node.outputs[0], insert(node, "Concat", parts, name=match.concat.name or "", axis=1))


def _aligned(value: ir.Value, sizes: tuple[int, ...]) -> ir.Node | None:
    concat = producer(value, "Concat")
    if concat is None or attribute(concat, "axis", 0) != 1:
        return None
    return concat if part_sizes(concat) == sizes else None


def _per_channel(value: ir.Value, sizes: tuple[int, ...]) -> bool:
    """Whether it is (N, C, 1, 1): cheap to split."""
    shape = value.shape
    return shape is not None and len(shape) == 4 and shape[1] == sum(sizes) and list(shape[2:]) == [1, 1]


def _divisible(value: ir.Value, sizes: tuple[int, ...]) -> bool:
    array = weights(value)
    if array is not None:
        return array.size == 1 or (array.ndim >= 3 and array.shape[-3] == sum(sizes))
    return _aligned(value, sizes) is not None or _per_channel(value, sizes)


def _parts(anchor: ir.Node, value: ir.Value, sizes: tuple[int, ...]) -> list[ir.Value]:
    array = weights(value)
    if array is not None:
        return [value] * len(sizes) if array.size == 1 else _split(anchor, value, sizes, axis=array.ndim - 3)
    if concat := _aligned(value, sizes):
        return operands(concat)
    return _split(anchor, value, sizes, axis=1)


def _split(anchor: ir.Node, value: ir.Value, sizes: tuple[int, ...], *, axis: int) -> list[ir.Value]:
    array = weights(value)
    if array is not None:
        return [constant(anchor, part, value.name or "part") for part in split(array, sizes, axis)]
    sides = required(value.shape, f"the shape of {value.name}")
    divider = ir.node(
        "Split",
        [value, constant(anchor, np.asarray(sizes, np.int64), "sizes")],
        {"axis": axis},
        num_outputs=len(sizes),
        name=f"{anchor.name}/Split",
    )
    anchor.prepend(divider)
    for output, size in zip(divider.outputs, sizes, strict=True):
        output.type = value.type
        output.shape = ir.Shape([size if i == axis else side for i, side in enumerate(sides)])
    return list(divider.outputs)


RULE = Rule("concat-sink", pattern, check, rewrite)
