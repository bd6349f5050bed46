"""Class names from a text file: one class a line, in the order of the labels, with its colour if you like.

    road 128,64,128
    traffic light #faaa1e
    person

Blank lines don't count. A class without a colour gets one of evenly spaced hues.
"""

from __future__ import annotations

import re
from pathlib import Path

from cgnet_deploy.contracts import ClassTable, evenly_spaced
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import MAX_CLASSES, MAX_NAME_CHARS

MAX_BYTES = 1 << 16
COLOUR = re.compile(r"(.*\S)\s+(?:#([0-9a-fA-F]{6})|(\d{1,3}),(\d{1,3}),(\d{1,3}))")
IGNORE = 255


def read_names(path: Path) -> ClassTable:
    """Raises UsageError, in one line, for a file that can't be read or is no such list."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES >> 10} KiB: wanted one class name a line")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: wanted one class name a line") from error
    named = [_name_and_colour(path, line.strip()) for line in lines if line.strip()]
    names = tuple(name for name, _ in named)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise UsageError(f"{path} names {len(names)} classes; wanted 1 to {MAX_CLASSES}, one a line")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{path} names {twice[0]!r} twice; class names must differ")
    hues = evenly_spaced(len(named))
    return ClassTable(names, tuple(colour or hue for (_, colour), hue in zip(named, hues, strict=True)), IGNORE)


def _name_and_colour(path: Path, line: str) -> tuple[str, tuple[int, int, int] | None]:
    colour = None
    if match := COLOUR.fullmatch(line):
        line = match[1]
        red, green, blue = bytes.fromhex(match[2]) if match[2] else map(int, match.groups()[2:])
        colour = red, green, blue
        if max(colour) > 255:
            raise UsageError(f"{path}: the colour of {line!r} is {red},{green},{blue}; each must be 0 to 255")
    if len(line) > MAX_NAME_CHARS or not line.isprintable():
        raise UsageError(f"{path}: class name {line[:80]!r} is not 1 to {MAX_NAME_CHARS} printable characters")
    return line, colour
