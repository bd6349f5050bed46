"""Weights that torch keeps as parts while it trains, and the weight that inference computes of them.

prune            weight_orig, weight_mask          w = orig * mask
weight_norm      weight_g, weight_v                w = g * v / |v|, |v| over the axes along which g has one value
spectral_norm    weight_orig, weight_u, weight_v   w = orig / s, s = u . (orig v), orig as a matrix (out, -1)

torch.nn.utils.parametrizations has the last two as parametrizations.weight.original0 and original1, or as original and
0._u, 0._v. Others, such as orthogonal, need the code that set them up: their user is told which call removes them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgnet_deploy.errors import CheckpointError

log = logging.getLogger(__name__)

PART = re.compile(r"(?P<module>.*\.|)(parametrizations\.(?P<new>weight|bias)\.|(?P<old>weight|bias)_)(?P<part>.+)")
OLD_PARTS = ("orig", "mask", "g", "u", "v")
MAX_ELEMENTS = 1 << 24  # of all weights: seven times the largest CGNet's; a file's tensors may share their storage
SHOWN = 60
REMOVE = "torch.nn.utils.parametrize.remove_parametrizations(module, {leaf!r})"
REMOVE_OLD = "torch.nn.utils.prune.remove(module, {leaf!r}), remove_weight_norm or remove_spectral_norm"


@dataclass(frozen=True, slots=True)
class Parts:
    """tensors: by what follows the weight's name, unchecked. leaf: weight or bias. old: not by a parametrization."""

    tensors: dict[str, Any]
    leaf: str
    old: bool


def gathered(items: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """The parts of a weight as one item, under its name and where its first part was; all else as it is."""
    items = tuple(items)
    taken = {name for name, _ in items}
    found: dict[str, Parts] = {}
    gathered: dict[int, tuple[str, Any]] = {}
    for i, (name, value) in enumerate(items):
        if (whole := _whole(name)) is None or whole[0] in taken:
            gathered[i] = name, value
            continue
        weight, part, leaf, old = whole
        if weight not in found:
            found[weight] = Parts({}, leaf, old)
            gathered[i] = weight, found[weight]
        found[weight].tensors[part] = value
    return tuple(gathered.values())


def _whole(name: str) -> tuple[str, str, str, bool] | None:
    """The weight of a part, which part, its leaf, and whether it is named in the older way."""
    if not (match := PART.fullmatch(name)) or (match["old"] and match["part"] not in OLD_PARTS):
        return None
    leaf = match["new"] or match["old"]
    return match["module"] + leaf, match["part"], leaf, match["new"] is None


def multiplied_out(path: Path, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each weight instead of its parts. Raises CheckpointError, naming `path`, where they are no sound ones."""
    kept = {name: value for name, value in tensors.items() if isinstance(value, Parts)}
    if not kept:
        return tensors
    left = MAX_ELEMENTS
    whole: dict[str, Tensor] = {}
    for name, parts in kept.items():
        left -= sum(one.numel() for one in parts.tensors.values() if isinstance(one, Tensor))
        weight = _weight(parts.tensors) if left >= 0 else None
        if weight is None:
            call = (REMOVE_OLD if parts.old else REMOVE).format(leaf=parts.leaf)
            raise CheckpointError(
                f"{path}: {name[:SHOWN]!r} is kept as {', '.join(parts.tensors)[:SHOWN]}, of which it can't be "
                f"computed here: call {call} on each module that has such, and save the network again"
            )
        whole[name] = weight
    log.info(f"{path}: {len(whole)} weights are kept in parts (pruned, or weight or spectral norm): multiplied out")
    return {**tensors, **whole}


def _weight(parts: Mapping[str, Any]) -> Tensor | None:
    compute = COMPUTED.get(frozenset(parts))
    if compute is None or not all(map(_is_plain, parts.values())):
        return None
    return compute(*(parts[name].detach().float() for name in sorted(parts)))


def _is_plain(tensor: Any) -> bool:
    if not isinstance(tensor, Tensor) or tensor.is_complex() or tensor.is_quantized:
        return False
    return tensor.layout == torch.strided and tensor.device.type == "cpu"


def _pruned(mask: Tensor, orig: Tensor) -> Tensor | None:
    return orig * mask if mask.shape == orig.shape else None


def _weight_norm(g: Tensor, v: Tensor) -> Tensor | None:
    if g.dim() not in (0, v.dim()) or any(size not in (1, of) for size, of in zip(g.shape, v.shape, strict=False)):
        return None
    axes = [axis for axis, size in enumerate(g.shape) if size == 1]
    if g.dim() and not axes:  # of a vector: torch's norm over no axis would be over all
        return g * v.sign()
    norm: Tensor = torch.linalg.vector_norm(v, dim=axes or None, keepdim=bool(axes))
    return v * (g / norm)


def _spectral_norm(orig: Tensor, u: Tensor, v: Tensor) -> Tensor | None:
    if orig.dim() < 2 or u.shape != orig.shape[:1] or v.shape != orig[0].flatten().shape:
        return None
    return orig / torch.dot(u, orig.flatten(1) @ v)


# parts -> the weight of them, which takes them in the order of their names
COMPUTED: Mapping[frozenset[str], Callable[..., Tensor | None]] = {
    frozenset(("mask", "orig")): _pruned,
    frozenset(("g", "v")): _weight_norm,
    frozenset(("original0", "original1")): _weight_norm,
    frozenset(("orig", "u", "v")): _spectral_norm,
    frozenset(("0._u", "0._v", "original")): lambda u, v, original: _spectral_norm(original, u, v),
}
