"""Class names from a text file: one class a line, in the order of the labels, with its colour if you like.

    road 128,64,128
    traffic light #faaa1e
    person

Blank lines don't count. A class without a colour gets one of evenly spaced hues.
"""

from __future__ import annotations

import re
from pathlib import Path

from cgnet_deploy.contracts import ClassTable, own_table
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Rgb

MAX_BYTES = 1 << 16
COLOUR = re.compile(r"(.*\S)\s+(?:#([0-9a-fA-F]{6})|(\d{1,3}),(\d{1,3}),(\d{1,3}))")


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
    return own_table(path, [name for name, _ in named], [colour for _, colour in named])


def _name_and_colour(path: Path, line: str) -> tuple[str, Rgb | None]:
    colour = None
    if match := COLOUR.fullmatch(line):
        line = match[1]
        red, green, blue = bytes.fromhex(match[2]) if match[2] else map(int, match.groups()[2:])
        colour = red, green, blue
        if max(colour) > 255:
            raise UsageError(f"{path}: the colour of {line!r} is {red},{green},{blue}; each must be 0 to 255")
    return line, colour
