"""YAML from others, read safely: bounded in size and depth, no anchors, no key twice, no types of Python."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from cgnet_deploy.errors import DataError, one_line

MAX_BYTES = 64 << 10  # ADE20K's 150 classes take 5 KiB
MAX_DEPTH = 8


class _Loader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys; that hides a class whose number is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if (text := (key.tag, str(key.value))) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {text[1]!r} is there twice", key.start_mark
                )
            seen.add(text)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping with keys of text. DataError for anything else, in one line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no description of a data set")
    try:
        _check(path, content)
        data = yaml.load(content, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{path}{place}: not YAML: {one_line(getattr(error, 'problem', None) or error)}") from None
    except (ValueError, TypeError, RecursionError) as error:  # 2026-13-45 is a date to YAML
        raise DataError(f"{path}: not YAML: {one_line(error)}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        kind = type(data).__name__ if not isinstance(data, dict) else "mapping with keys that are not text"
        raise DataError(f"{path} is a {kind}; wanted a mapping such as names: [background, road]")
    return data


def _check(path: Path, content: bytes) -> None:
    """Anchors, which can make gigabytes of a kilobyte, and depth are refused before anything is built."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DataError(f"{path}, line {_line(event)}: anchors and aliases are not read; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise DataError(f"{path}, line {_line(event)}: nested deeper than {MAX_DEPTH}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
