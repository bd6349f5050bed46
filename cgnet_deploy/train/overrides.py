"""A recipe with some fields changed: `--set key=value`, dotted for a part (`optimiser.lr=2e-3`), and its length.

`settings_of` is the inverse: what makes a recipe from the one of that name, so that a run can store it as text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.recipes import RECIPES

OPTIONAL = ("epochs", "steps", "minutes", "choices")


def overridden(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Raises UsageError for an unknown key, or a value that isn't of the kind the field now holds."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} is not KEY=VALUE, such as optimiser.lr=2e-3")
        recipe = _with(recipe, key.split("."), text, key)
    return recipe


def lasting(
    recipe: Recipe, *, epochs: int | None = None, steps: int | None = None, minutes: float | None = None
) -> Recipe:
    """For that long; as it is if all are None. epochs and steps go before minutes."""
    if epochs or steps:
        return replace(recipe, epochs=epochs, steps=steps, minutes=None)
    return recipe if minutes is None else replace(recipe, epochs=None, steps=None, minutes=minutes)


def settings_of(recipe: Recipe) -> tuple[str, ...]:
    """What `overridden` makes `recipe` from, given the recipe of its name in the table."""
    written = dict(_leaves(RECIPES[recipe.name]))
    return tuple(f"{key}={_text(value)}" for key, value in _leaves(recipe) if value != written.get(key))


def _leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for field in fields(part):
        value, key = getattr(part, field.name), path + field.name
        if is_dataclass(value):
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _text(value: Any) -> str:
    if isinstance(value, tuple) and not isinstance(value, Res):
        return ",".join(map(str, value))
    return str(value)


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
        if name in OPTIONAL and text.lower() == "none":
            return None
        if isinstance(value, int) or name in ("epochs", "steps", "choices"):
            return int(text)
        if name == "minutes":
            return float(text)
        if isinstance(value, float):
            return float(text)
        if isinstance(value, Res):
            return Res.parse(text)
        if isinstance(value, str):
            return text
        if name == "blocks":
            m, n = (int(v) for v in text.split(","))
            return m, n
        if name in ("mean", "std"):
            first, second, third = (float(v) for v in text.split(","))
            return first, second, third
    except (ValueError, KeyError):
        raise UsageError(f"--set {key}={text}: wanted a value like {value}") from None
    raise UsageError(f"--set {key} can't be changed on the command line; write a recipe for it")
