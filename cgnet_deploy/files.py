"""Files: written atomically, hashed, checked before any work, and JSON in and out with bounds."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cgnet_deploy.errors import ArtifactError, CgnetError, UserError


def sha256_of(path: Path) -> str:
    """The file's sha256, or ArtifactError if it can't be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ArtifactError(f"{path} can't be read: {error.strerror}") from error
    return digest.hexdigest()


def check_writable(path: Path) -> None:
    """Raise UserError, before any work, if a file at `path` could not be written."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path} can't be written: is {path.parent} a folder that you may write to?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success rename it to `path`, else remove it.

    Raises UserError if the folder can't be written, CgnetError if the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}: {path.parent}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise CgnetError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path: Path) -> None:
    """Create a folder and its parents if it is missing. Raises UserError if it can't be created."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} can't be created: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by a file of `content`. Raises as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, data: Any) -> None:
    """Replace `path` by `data` as indented JSON. Raises as `replacing` does; NaN is no JSON and raises ValueError."""
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, max_bytes: int) -> Any:
    """The JSON in `path`. Raises OSError if it can't be read, ValueError if it is too large or no JSON."""
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"larger than {max_bytes} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
