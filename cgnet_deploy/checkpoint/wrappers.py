"""What code bases put around a network's tensors, seen through by its shape, whatever it is called and however deep.

{"model": ..., "epoch": 7}, {"checkpoint": {"state_dict": ...}}, (7, {...})   containers, of any names
module.stem.0.conv.weight, model.net._orig_mod.stem.0.conv.weight             prefixes, of any names
backbone.module.stem.0.conv.weight                                            wrappers (PARTS) inside a name
classifier.1.conv.weight                                                      the official code, behind a dropout layer
ema_backbone_stem_0_conv_weight                                               mmcv's running average, beside the weights
classifier.weight_orig, classifier.weight_mask                                parts of a weight (reparametrized.py)
{"ema": {"shadow_params": [...]}}                                             torch_ema's: parameters in order, no names

A set of weights is what has a CGNet's stem and classifier under one prefix in one container. A file may hold several:
weights and their running average (selection.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from cgnet_deploy.checkpoint.keys import CLASSIFIER, FORMATS, stem
from cgnet_deploy.checkpoint.reparametrized import gathered

MAX_DEPTH = 6
MAX_VISITED = 5_000
MAX_SETS = 32  # no file of the field has more; a hostile one could have any number of prefixes
PARTS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
BEHIND_DROPOUT = {"classifier.1.conv.weight": f"{CLASSIFIER.official}.weight"}
ENDS = (  # stem and classifier of each format
    *((f"{stem(0).of(fmt)}.conv.weight", f"{CLASSIFIER.of(fmt)}.weight") for fmt in FORMATS),
    (f"{stem(0).official}.conv.weight", *BEHIND_DROPOUT),
)
MMCV_AVERAGE = "ema_"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of BatchNorm: no parameters


@dataclass(frozen=True, slots=True)
class Weights:
    """A set of weights. name: where in the file, as "state_dict" or "state_dict:model"; "" where it is the file.

    tensors: under bare names, unchecked. beside: what stands beside its containers. outside: the container's names
    that don't have its prefix. twice: two of its tensors have one bare name.
    """

    name: str
    tensors: Mapping[str, Any]
    beside: Mapping[Any, Any]
    outside: tuple[str, ...] = ()
    twice: bool = False


class _Container(NamedTuple):
    place: str
    items: tuple[tuple[str, Any], ...]  # names without wrappers
    around: tuple[tuple[Mapping[Any, Any], Any], ...]  # the dictionaries that it is in, and its key in each

    def beside(self) -> dict[Any, Any]:
        """What stands beside it and its parents. Only of what is chosen: a copy for each would be quadratic."""
        known: dict[Any, Any] = {}
        for held, name in self.around:
            meta = held.get("meta")
            known |= {key: value for key, value in held.items() if key != name}
            known |= dict(meta) if isinstance(meta, Mapping) and name != "meta" else {}
        return known


def weight_sets(loaded: object) -> list[Weights]:
    """Every CGNet in what a file holds, the outermost first; where there is none, what is most like one."""
    lists: list[tuple[str, list[Any] | tuple[Any, ...]]] = []
    containers = list(_containers(loaded, lists))
    found = list(islice((weights for held in containers for weights in _sets(held)), MAX_SETS))
    if found or not containers:
        nameless = [_nameless(found[0], place, values) for place, values in lists] if found else []
        return [*found, *islice((one for one in nameless if one), MAX_SETS)]
    likeness = [(len(_prefixes(held, whole=False)), _objects(held), i) for i, held in enumerate(containers)]
    most = containers[max(likeness)[2]]
    return [_under(min(_prefixes(most, whole=False), key=len, default=""), most, ())]


def _containers(loaded: object, lists: list[tuple[str, list[Any] | tuple[Any, ...]]]) -> Iterator[_Container]:
    """Each dictionary with what stands beside it and its parents; breadth first, bounded. Fills `lists` too."""
    queue: list[tuple[str, object, tuple[tuple[Mapping[Any, Any], Any], ...], int]] = [("", loaded, (), 0)]
    for place, held, around, depth in queue:  # grows
        if isinstance(held, Mapping):
            yield _Container(place, gathered((_unwrapped(str(name)), value) for name, value in held.items()), around)
            items = list(held.items())
        elif isinstance(held, list | tuple):
            items = list(enumerate(held))
            lists.append((place, held))
        else:
            items = []
        inner = [(name, value) for name, value in items if isinstance(value, Mapping | list | tuple)]
        if depth == MAX_DEPTH or len(queue) + len(inner) > MAX_VISITED:
            continue
        for name, value in inner:
            mine = ((held, name),) if isinstance(held, Mapping) else ()
            queue.append((f"{place}.{name}".lstrip("."), value, around + mine, depth + 1))


def _sets(held: _Container) -> Iterator[Weights]:
    prefixes = sorted(_prefixes(held, whole=True), key=lambda prefix: (len(prefix), prefix))[:MAX_SETS]
    for prefix in prefixes:
        others = tuple(other for other in prefixes if other != prefix and not prefix.startswith(other))
        weights = _under(prefix, held, others)
        yield weights
        tensors = weights.tensors
        average = {key: tensors[name] for key in tensors if (name := MMCV_AVERAGE + key.replace(".", "_")) in tensors}
        if average:  # of the parameters; mmcv leaves statistics as they are
            yield Weights(f"{weights.name}:ema".lstrip(":"), {**tensors, **average}, weights.beside, weights.outside)


def _nameless(named: Weights, place: str, values: Sequence[Any]) -> Weights | None:
    """The tensors of a list under the names of those parameters that have their shapes, in this order."""
    keys = [key for key in named.tensors if not key.endswith(STATISTICS)]
    if len(values) != len(keys) or not all(map(_may_be_tensor, values)):
        return None
    tensors = dict(zip(keys, values, strict=True))
    same = all(getattr(one, "shape", 0) == getattr(named.tensors[key], "shape", 1) for key, one in tensors.items())
    return Weights(place, tensors, named.beside) if same else None


def _prefixes(held: _Container, *, whole: bool) -> set[str]:
    """What stands before the stem and (whole), or before the stem or, the classifier of a CGNet.

    DeepSpeed keeps the shapes of tensors under their names: they are no set.
    """
    names = [name for name, value in held.items if not whole or _may_be_tensor(value)]
    both = [(_before(names, first), _before(names, last)) for first, last in ENDS]
    return set().union(*(one & other if whole else one | other for one, other in both))


def _objects(held: _Container) -> int:
    """How many values a container has that may be tensors."""
    return sum(_may_be_tensor(value) for _, value in held.items)


def _may_be_tensor(value: object) -> bool:
    return not isinstance(value, Mapping | list | tuple | str | int | float | None)


def _before(names: Iterable[str], end: str) -> set[str]:
    return {name.removesuffix(end) for name in names if f".{name}".endswith(f".{end}")}


def _under(prefix: str, held: _Container, others: tuple[str, ...]) -> Weights:
    """The tensors whose names start with `prefix`, and with none of the `others`, which belong to other sets."""
    rest = [(name, value) for name, value in held.items if not name.startswith(others)]
    mine = [(name.removeprefix(prefix), value) for name, value in rest if name.startswith(prefix)]
    tensors = {BEHIND_DROPOUT.get(name, name): value for name, value in mine}
    name = ":".join(part for part in (held.place, prefix.rstrip(".")) if part)
    outside = tuple(name for name, _ in rest if not name.startswith(prefix))
    return Weights(name, tensors, held.beside(), outside, len(tensors) < len(mine))


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in PARTS)
