"""Dead channels: what never varies is replaced by its constant and removed with all that feeds it.

constants.py says which channels those are. A convolution that reads dead channels is rewritten (`narrow`):

    1x1      W x = W_live x_live + W_dead k, and W_dead k joins the bias
    padded   the constants' part varies at the border, but is one fixed map: a single dead channel j is kept to
             carry it, with the kernel sum_i W_i k_i / k_j

Then only its live inputs are computed, and so on towards the image, through everything that treats channels
alone. The residual trunk of a stage is read by all of it and keeps its channels: what is added to it is computed on
its live channels and put in place by a 1x1 convolution of ones, whose bias is the dead ones' constants; what a
large convolution reads of it is picked by one. Both are done only where they spare multiplications, and not for a
runtime to which such a convolution costs more than they do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from cgnet_deploy.export.constants import NO_WEIGHT, constants, is_padded
from cgnet_deploy.export.fuse.linear import (
    F64,
    convolution,
    groups_of,
    is_constant,
    is_depthwise,
    kernel_and_bias,
    own_bias,
    per_channel_constant,
    pointwise,
)
from cgnet_deploy.export.graph import (
    attribute,
    channels,
    count_macs,
    insert,
    integers,
    operand,
    operands,
    per_channel,
    replace,
    tidy,
    weights,
)

Kept = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PruneReport:
    """channels: of the tensors that convolutions read, (live, all) by convolution. macs: per image, None if dynamic."""

    channels: dict[str, tuple[int, int]]
    macs_before: int | None
    macs_after: int | None

    @property
    def removed_any(self) -> bool:
        return any(live < count for live, count in self.channels.values())

    def summary(self) -> str:
        """One line: what is left to compute."""
        if not self.removed_any:
            return "no dead channels"
        if self.macs_before is None or self.macs_after is None:
            return "dead channels removed"
        return f"{self.macs_before / 1e9:.3f} -> {self.macs_after / 1e9:.3f} GMAC per image"


def prune_dead(
    model: ir.Model, multiple: int = 1, observed: dict[str, F64] | None = None, moves: bool = True
) -> PruneReport:
    """Remove the dead channels of a fused graph in place.

    multiple: kept counts are filled up to one of it, where the runtime's blocks make the fillers free.
    observed: constants seen on frames by value name, (C,) with NaN where a channel varied (see `observe`).
    moves: whether 1x1 convolutions may pick channels and put them in place.
    """
    tidy(model)
    before = count_macs(model)
    pruner = _Pruner(constants(model, observed or {}), multiple, moves)
    for node in reversed(list(model.graph)):
        if node.op_type == "Conv" and groups_of(node) == 1 and is_constant(node):
            pruner.shrink(node)
        elif moves and node.op_type == "Add" and not any(weights(value) is not None for value in node.inputs):
            pruner.scatter(node)
    tidy(model)
    return PruneReport(pruner.read, before, count_macs(model))


@dataclass(slots=True)
class _Pruner:
    constants: dict[ir.Value, F64]
    multiple: int
    moves: bool
    read: dict[str, tuple[int, int]] = field(default_factory=dict)
    done: dict[tuple[ir.Value, Kept], tuple[ir.Value, Kept]] = field(default_factory=dict)

    def shrink(self, conv: ir.Node) -> None:
        """Let a dense convolution read only what varies of its input."""
        output = conv.outputs[0]
        if output.uses() or output.is_graph_output():  # nothing reads it if one with fewer filters took its place
            replace(output, self._conv(conv, tuple(range(len(kernel_and_bias(conv)[0])))))

    def scatter(self, total: ir.Node) -> None:
        """Compute what is added to the trunk on its live channels, and put them in place, if that is cheaper."""
        trunk, branch = total.inputs
        if branch is None or trunk is None or (values := self.constants.get(branch)) is None:
            return
        live = tuple(np.flatnonzero(np.isnan(values)).tolist())
        if not live or len(live) == len(values):
            return
        narrow, kept = self.narrow(branch, live)
        if weights_behind(narrow) + len(values) * len(kept) >= weights_behind(branch):
            return
        place = np.eye(len(values))[:, list(kept)] * np.isnan(values)[list(kept)]
        placed = pointwise(total, narrow, place, np.where(np.isnan(values), 0, values), f"{total.name}/place")
        replace(branch, self._sized(placed, branch, len(values)))

    def _conv(self, conv: ir.Node, rows: Kept) -> ir.Value:
        """The output channels `rows` of a dense convolution, from as few input channels as they need."""
        x = operand(conv)
        kernel, bias = kernel_and_bias(conv)
        kernel, bias = kernel[list(rows)], bias[list(rows)]
        values = self.constants.get(x, np.full(kernel.shape[1], np.nan))
        used = np.abs(kernel).max((0, 2, 3)) >= NO_WEIGHT
        fixed = np.flatnonzero(used & ~np.isnan(values) & (values != 0))
        wanted = np.flatnonzero(used & np.isnan(values)).tolist()
        weighted = np.einsum("oihw,i->ohw", kernel[:, fixed], values[fixed])
        carrier = None
        if fixed.size and is_padded(conv):
            carrier = int(fixed[np.abs(values[fixed]).argmax()])
            wanted.append(carrier)
        elif fixed.size:
            bias = bias + weighted.sum((1, 2))
        self.read[conv.name or ""] = (len(wanted), kernel.shape[1])
        narrow, kept = self.narrow(x, tuple(sorted(wanted)), kernel[:, 0].size / _step(conv) ** 2)
        columns = np.where(np.isin(kept, wanted)[None, :, None, None], kernel[:, list(kept)], 0.0)
        if carrier is not None:
            columns[:, kept.index(carrier)] = weighted / values[carrier]
        has_bias = len(conv.inputs) > 2 or bool(bias.any())
        return convolution(conv, conv, narrow, columns, bias if has_bias else None)

    def narrow(self, value: ir.Value, wanted: Kept, spared: float = 0) -> tuple[ir.Value, Kept]:
        """A value with at least the channels `wanted` of `value`, and which those are, in order.

        spared: what a channel less is worth to the reader, in multiply-adds per pixel of `value`; where none can
        be left out of the computation, a 1x1 convolution picks them if it costs less than that.
        """
        wanted = self._shared(value, wanted)
        key = (value, wanted)
        if key not in self.done:
            self.done[key] = self._narrow(value, wanted, spared)
        return self.done[key]

    def _narrow(self, value: ir.Value, wanted: Kept, spared: float) -> tuple[ir.Value, Kept]:
        node, count = value.producer(), channels(value) or 0
        everything = tuple(range(count))
        if node is None or not wanted or wanted == everything:
            return value, everything
        if node.op_type == "Conv" and is_constant(node) and is_depthwise(node):
            return self._depthwise(node, wanted)
        if node.op_type == "Conv" and is_constant(node) and groups_of(node) == 1:
            kept = self._filled(wanted, count)
            return (self._conv(node, kept) if kept != everything else value), kept
        if node.op_type == "Concat" and attribute(node, "axis", 0) == 1:
            return self._concat(node, wanted, spared)
        if node.op_type in ("PRelu", "Mul", "Add") and weights(node.inputs[1]) is not None:
            return self._elementwise(node, wanted, count, spared)
        kept = self._filled(wanted, count)
        if self.moves and (count - len(kept)) * spared > count * len(kept):
            picked = pointwise(node, value, np.eye(count)[list(kept)], None, f"{node.name}/pick")
            return self._sized(picked, value, len(kept)), kept
        return value, everything

    def _shared(self, value: ir.Value, wanted: Kept) -> Kept:
        """`wanted`, or what any of several readers wants of a value that is costly to compute, or computed anyway.

        Only what a 1x1 convolution makes is cheap enough to be computed apart for each reader: a normal block's
        entry, of which the local and the surrounding filters read other channels.
        """
        source = value.producer()
        while (
            source is not None and source.op_type in ("PRelu", "Mul", "Add") and weights(source.inputs[1]) is not None
        ):
            source = source.inputs[0].producer() if source.inputs[0] else None
        if len(value.uses()) == 1 or source is None or source.op_type != "Conv" or value not in self.constants:
            return wanted
        values = self.constants[value]
        if not np.isnan(values).all() and kernel_and_bias(source)[0][0, 0].size == 1:
            return wanted
        # A constant is read too where a border makes it vary.
        read = np.isnan(values) | (
            (values != 0) & np.any([_weighed(use.node, len(values)) for use in value.uses()], axis=0)
        )
        return tuple(sorted({*np.flatnonzero(read).tolist(), *wanted}))

    def _filled(self, wanted: Kept, count: int) -> Kept:
        """`wanted` and as many others as the next multiple asks for."""
        missing = min(-len(wanted) % self.multiple, count - len(wanted))
        others = [i for i in range(count) if i not in wanted][:missing]
        return tuple(sorted((*wanted, *others)))

    def _depthwise(self, node: ir.Node, wanted: Kept) -> tuple[ir.Value, Kept]:
        narrow, kept = self.narrow(operand(node), wanted)
        kernel, bias = (array[list(kept)] for array in kernel_and_bias(node))
        return convolution(node, node, narrow, kernel, own_bias(node, bias), groups=len(kept)), kept

    def _concat(self, node: ir.Node, wanted: Kept, spared: float) -> tuple[ir.Value, Kept]:
        parts: list[ir.Value] = []
        kept: list[int] = []
        start = 0
        for part in operands(node):
            end = start + (channels(part) or 0)
            inside = tuple(i - start for i in wanted if start <= i < end)
            if inside:
                narrow, own = self.narrow(part, inside, spared)
                parts.append(narrow)
                kept += [start + i for i in own]
            start = end
        output = parts[0] if len(parts) == 1 else insert(node, "Concat", parts, name=node.name or "", axis=1)
        return self._sized(output, node.outputs[0], len(kept)), tuple(kept)

    def _elementwise(self, node: ir.Node, wanted: Kept, count: int, spared: float) -> tuple[ir.Value, Kept]:
        x, everything = node.inputs[0], tuple(range(count))
        own = per_channel_constant(node.inputs[1], count)
        if x is None or own is None:
            return node.outputs[0], everything
        narrow, kept = self.narrow(x, wanted, spared)
        if kept == everything:
            return node.outputs[0], everything
        values = per_channel(node, own[list(kept)], f"{node.name}.kept")
        output = insert(node, node.op_type, [narrow, values], name=node.name or "")
        return self._sized(output, node.outputs[0], len(kept)), kept

    def _sized(self, value: ir.Value, like: ir.Value, count: int) -> ir.Value:
        if like.shape is not None:
            value.shape = ir.Shape([like.shape[0], count, *like.shape[2:]])
        return value


def _weighed(reader: ir.Node, count: int) -> npt.NDArray[np.bool_]:
    """(C,) which channels of its input a node looks at: a depthwise convolution where its filter has weight."""
    kernel = weights(reader.inputs[1]) if reader.op_type == "Conv" and is_depthwise(reader) else None
    return np.ones(count, bool) if kernel is None else np.asarray(np.abs(kernel).max((1, 2, 3)) >= NO_WEIGHT)


def _step(conv: ir.Node) -> int:
    return integers(conv, "strides", [1])[0]


def weights_behind(value: ir.Value) -> int:
    """Multiply-adds per pixel that make `value`, back to and with the first dense convolutions behind it."""
    total, seen, front = 0, set[ir.Node](), [value]
    while front:
        node = front.pop().producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        kernel = weights(node.inputs[1]) if node.op_type == "Conv" else None
        total += 0 if kernel is None else kernel.size
        if node.op_type != "Conv" or is_depthwise(node):
            front += [v for v in node.inputs if v is not None]
    return total
