"""A recipe with some fields changed: `--set key=value`, dotted for a part (`optimiser.lr=2e-3`), and its length."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res
from cgnet_deploy.train.recipes import Recipe


def overridden(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Raises UsageError for an unknown key, or a value that isn't of the kind the field now holds."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} is not KEY=VALUE, such as optimiser.lr=2e-3")
        recipe = _with(recipe, key.split("."), text, key)
    return recipe


def lasting(recipe: Recipe, *, epochs: int | None = None, steps: int | None = None) -> Recipe:
    """For that long; at most one is not None."""
    if epochs:
        return replace(recipe, epochs=epochs, steps=None)
    return replace(recipe, epochs=None, steps=steps) if steps else recipe


def _with(part: Any, path: list[str], text: str, key: str) -> Any:
    name, *rest = path
    names = [field.name for field in fields(part)] if is_dataclass(part) else []
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none below'}"
        raise UsageError(f"--set {key}: the recipe has no {key!r}: {hint}")
    value = getattr(part, name)
    new = _with(value, rest, text, key) if rest else _parsed(name, value, text, key)
    return replace(part, **{name: new})


def _parsed(name: str, value: object, text: str, key: str) -> object:
    """`text` as the type of the value that it replaces."""
    try:
        if isinstance(value, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(value, int) or name in ("epochs", "steps", "choices"):
            return int(text)
        if isinstance(value, float):
            return float(text)
        if isinstance(value, Res):
            return Res.parse(text)
        if isinstance(value, str):
            return text
        if name == "blocks":
            m, n = (int(v) for v in text.split(","))
            return m, n
    except (ValueError, KeyError):
        raise UsageError(f"--set {key}={text}: wanted a value like {value}") from None
    raise UsageError(f"--set {key} can't be changed on the command line; write a recipe for it")
