"""The network's convolutions in a fused graph, and which of them int8 takes: what docs/int8.md measures.

    most     the dense convolutions between the image and the classifier: 93.8 % of CGNet's multiply-adds
    all      every convolution
    stored   every convolution, and everything that is stored between them: the residual trunk too

The image's, the depthwise and the classifier's convolutions cost a third of the accuracy that int8 costs and hold
6 % of the work; a runtime gains nothing by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import Scope
from cgnet_deploy.export.fuse.linear import is_constant, is_depthwise
from cgnet_deploy.export.graph import channels, global_context, macs_of, sole_user, weights

Role = Literal["image", "depthwise", "dense", "classifier"]

ROLES: dict[Scope, frozenset[Role]] = {
    "most": frozenset({"dense"}),
    "all": frozenset({"image", "depthwise", "dense", "classifier"}),
    "stored": frozenset({"image", "depthwise", "dense", "classifier"}),
}

IMAGE_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """A convolution that can be quantised. macs: per image, 0 where the size is open."""

    name: str
    role: Role
    macs: int


def sites(model: ir.Model) -> tuple[Site, ...]:
    """The network's convolutions in order, without what some targets compute as such: averages, PReLUs and gates."""
    context = global_context(model)
    convs = [
        node
        for node in model.graph
        if node.op_type == "Conv" and is_constant(node) and not _is_form(node) and node not in context
    ]
    first = _nearest(list(model.graph), {node: [v.producer() for v in node.inputs if v] for node in model.graph})
    last = _nearest(list(model.graph)[::-1], {n: [use.node for use in n.outputs[0].uses()] for n in model.graph})
    return tuple(Site(conv.name or "", _role(conv, first, last), macs_of(conv) or 0) for conv in convs)


def _is_form(conv: ir.Node) -> bool:
    """Three channels in, three out: the image, halved. A factor a channel: a PReLU's, a norm's or a gate's."""
    ends = {channels(value) for value in (conv.inputs[0], conv.outputs[0]) if value is not None}
    kernel = weights(conv.inputs[1])
    return ends == {IMAGE_CHANNELS} or (kernel is not None and is_depthwise(conv) and kernel[0].size == 1)


def _nearest(nodes: list[ir.Node], neighbours: Mapping[ir.Node, list[ir.Node | None]]) -> set[ir.Node]:
    """The convolutions that no other one lies before, in the order of `nodes`."""
    met: set[ir.Node] = set()
    nearest: set[ir.Node] = set()
    for node in nodes:
        behind = any(other in met for other in neighbours[node])
        if behind or (node.op_type == "Conv" and not _is_form(node)):
            met.add(node)
            nearest |= set() if behind else {node}
    return nearest


def _role(conv: ir.Node, first: set[ir.Node], last: set[ir.Node]) -> Role:
    if conv in first and not _is_summand(conv):
        return "image"
    if is_depthwise(conv):
        return "depthwise"
    return "classifier" if conv in last else "dense"


def _is_summand(conv: ir.Node) -> bool:
    """Whether it is a part of a convolution over a concat, here the image's part (fuse/concat_conv.py)."""
    reader = sole_user(conv.outputs[0])
    return (
        reader is not None
        and reader.op_type == "Add"
        and not any(weights(value) is not None for value in reader.inputs)
    )


def chosen(
    model: ir.Model, scope: Scope, exclude: str | None = None, keeps: frozenset[Role] = frozenset()
) -> tuple[Site, ...]:
    """The convolutions of a fused graph that int8 takes, without those that the target `keeps`.

    exclude: a regular expression, searched in their names.

    Raises UsageError if none is left, or if `exclude` names none.
    """
    candidates = [site for site in sites(model) if site.role in ROLES[scope] - keeps]
    if exclude is None:
        return tuple(candidates)
    kept = tuple(site for site in candidates if not re.search(exclude, site.name))
    if len(kept) in (0, len(candidates)):
        names = ", ".join(site.name for site in candidates[:3])
        what = "no convolution is left" if not kept else "it matches no convolution's name"
        raise UsageError(f"--exclude {exclude}: {what}; there are {len(candidates)}, such as {names}")
    return kept
