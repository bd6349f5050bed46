"""What is at a path, on every Python alike: OSError where the system doesn't tell.

Path.is_file and its kin raise it up to Python 3.13, for what lies in a folder that may not be entered or has too long a
name. From 3.14 on they are False, and a message would call missing what is there.
"""

from __future__ import annotations

import errno
import re
import stat
from pathlib import Path

MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a path has one slash where a URL has two


def exists(path: Path) -> bool:
    return mode(path) != 0


def is_file(path: Path) -> bool:
    return stat.S_ISREG(mode(path))


def is_dir(path: Path) -> bool:
    return stat.S_ISDIR(mode(path))


def no_file(path: Path) -> str | None:
    """Why there is no file to read at `path`, to be put after its name; None if there is one."""
    try:
        found = mode(path)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if not found:
        return "is a URL: download the file first" if URL.match(str(path)) else "does not exist"
    return None if stat.S_ISREG(found) else "is not a file"


def mode(path: Path) -> int:
    """Of what `path` names, through links; 0 where nothing is."""
    try:
        return path.stat().st_mode
    except ValueError:  # a name with a NUL
        return 0
    except OSError as error:
        if error.errno in MISSING:
            return 0
        raise
