"""What to do about a file whose pickle would build objects: where in it the weights are.

Read once more with every refused name as an inert object, which runs nothing, the file shows its shape.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import OrderedDict
from typing import Any

import torch

from cgnet_deploy.checkpoint.wrappers import weight_sets

MAX_NAMES = 200
REFUSED = re.compile(r"GLOBAL ([\w.]{1,100})")
LOADED = "torch.load(OLD, weights_only=False)"


class Inert:
    """Stands in for an object of a training log, or of another class that is not loaded."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class _Dictionary(Inert):
    """Of a kind of dictionary (defaultdict, EasyDict): a plain one that takes attributes. The weights may be in it."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict()


class _List(Inert):
    def __new__(cls, *_: object) -> Any:
        return []


KINDS = (Inert, _Dictionary, _List)  # of what a name may stand for, tried in this order: a name alone doesn't say


def refused_name(error: BaseException) -> str | None:
    found = REFUSED.search(str(error))
    return found[1] if found else None


def advice(data: bytes, known: list[Any]) -> str:
    """What keeps only the weights of a file, for a user who trusts it. known: names that are read as inert anyway."""
    shape = _shape(data, known)
    if isinstance(shape, Inert):
        return f"torch.save({LOADED}.state_dict(), NEW)"
    if isinstance(shape, dict):
        keys = [key for key in shape if isinstance(key, str)]
        for one in weight_sets(shape):
            place = one.name.partition(":")[0]
            tensors = [isinstance(value, torch.Tensor) for value in one.tensors.values()]
            if any(tensors) and place in ("", *keys):
                held = f"{LOADED}[{place!r}]" if place else LOADED
                if not all(tensors):
                    held = f"{{k: v for k, v in {held}.items() if torch.is_tensor(v)}}"
                return f"torch.save({held}, NEW)"
        modules = [key for key in keys if isinstance(shape[key], Inert)]
        for key in [key for key in ("model", "ema", "net", "network") if key in modules] or modules[:1]:
            return f"torch.save({LOADED}[{key!r}].state_dict(), NEW)"
    return "save its state_dict, a dictionary of tensors, where the code is installed that wrote it"


def _shape(data: bytes, known: list[Any]) -> Any:
    inert: list[Any] = list(known)
    untried: list[type[Inert]] = []  # kinds, for the name that came last
    for _ in range(MAX_NAMES):
        try:
            with torch.serialization.safe_globals(inert), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception as error:  # hostile bytes make the unpickler raise any exception
            if (name := refused_name(error)) is None:
                if not untried:
                    return None
                inert[-1] = (untried.pop(0), inert[-1][1])  # it was given items
                continue
            name = name if "." in name else f"builtins.{name}"  # torch leaves that out
            if any(name == other for _, other in inert):
                return None
            untried = list(KINDS[name.lower().endswith("dict") :])
            inert.append((untried.pop(0), name))
    return None
