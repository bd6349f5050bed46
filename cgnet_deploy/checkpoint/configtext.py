"""Values out of a Python config that is text in a checkpoint: read, never run.

mmsegmentation stores the config of a training run as text: a Python file, sometimes after a line with its path; its
assignments on one line; or a dictionary as `repr` writes it. Here the text is cut into its assignments, and of those
that are asked for the values are literals, `dict(...)`, names assigned before and `**name`. Anything else in a value,
a call or an import, has no value. Length, depth and number of steps are bounded before Python's parser sees a byte.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

MAX_CHARS = 1 << 17  # a config is about 10,000
MAX_DEPTH = 40  # of brackets, and of a value
MAX_STEPS = 50_000
TOKENS = re.compile(
    r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|(?P<unclosed>['\"].*)"
    r"|#[^\n]*|(?P<open>[\[({])|(?P<close>[\])}])|(?P<name>\b[A-Za-z_]\w*)[ \t]*=(?![=])|\w+|.",
    re.DOTALL,
)


class Unreadable(ValueError):
    """A text that is no config, or more of one than is read."""


class Config:
    """The assignments of a config, evaluated when they are asked for."""

    def __init__(self, text: str) -> None:
        """Raises Unreadable, in a time that is linear in MAX_CHARS, whatever the text is."""
        if len(text) > MAX_CHARS:
            raise Unreadable(f"longer than {MAX_CHARS} characters")
        if "\n" not in text and "\\n" in text:
            text = text.replace("\\n", "\n")
        start = text.find("{")
        self._steps = 0
        self._values: dict[str, Any] = {}
        self._texts = dict(_assignments(text))
        if not self._texts and start >= 0:  # a dictionary, maybe after "Config (path: x.py): "
            value = self._parsed(text[start:], 0)
            self._values = {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}

    def get(self, name: str) -> Any:
        """The value of `name`; None where it has none that can be read without running the text."""
        return self._get(name, 0)

    def _get(self, name: str, depth: int) -> Any:
        if name not in self._values and name in self._texts:
            self._values[name] = self._parsed(self._texts.pop(name), depth)
        return self._values.get(name)

    def _parsed(self, text: str, depth: int) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the parser warns of odd escapes
                tree = ast.parse(text.strip().rstrip(";, \t\n"), mode="eval")
            return self._value(tree.body, depth)
        except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
            return None

    def _value(self, node: ast.expr, depth: int) -> Any:
        self._steps += 1
        if depth > MAX_DEPTH or self._steps > MAX_STEPS:
            raise Unreadable("nested too deeply, or too long")
        match node:
            case ast.Constant(value):
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
                return -number
            case ast.Name(name):
                return self._get(name, depth + 1)
            case ast.List(items) | ast.Tuple(items):
                return [self._value(item, depth + 1) for item in items]
            case ast.Dict(keys, values):
                return dict(self._pairs(zip(keys, values, strict=True), depth))
            case ast.Call(ast.Name("dict"), [], keywords):
                named = ((word.arg and ast.Constant(word.arg), word.value) for word in keywords)
                return dict(self._pairs(named, depth))
        return None

    def _pairs(self, pairs: Any, depth: int) -> Iterator[tuple[Any, Any]]:
        for key, node in pairs:
            value = self._value(node, depth + 1)
            if key is not None:
                yield self._value(key, depth + 1), value
            elif isinstance(value, Mapping):  # **value
                yield from value.items()


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """The name and the text of each assignment outside all brackets. The last one of a name counts."""
    depth, name, start = 0, None, 0
    for token in TOKENS.finditer(text):
        if token["unclosed"]:
            break
        depth += bool(token["open"]) - bool(token["close"])
        if not 0 <= depth <= MAX_DEPTH:
            raise Unreadable("its brackets are not closed, or nested too deeply")
        if token["name"] and depth == 0:
            if name:
                yield name, text[start : token.start()]
            name, start = token["name"], token.end()
    if name:
        yield name, text[start:]
