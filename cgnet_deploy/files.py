"""Files: written atomically, hashed, and JSON in and out with bounds.

Only a regular file is ever replaced: a link stays and its target is replaced, a device, FIFO or socket is written to,
and `-` is stdout.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from cgnet_deploy.errors import ArtifactError, NoSpace, UserError
from cgnet_deploy.places import FULL, STDOUT, is_stream, make_folder, real, temporary_file, unwritten


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success rename it to `path`, else remove it.

    A link's target is replaced; what is a stream gets the content. Raises UserError if the folder can't be written,
    NoSpace if the disk is full.
    """
    stream = is_stream(path)
    target = real(path)
    temporary = temporary_file(path, None if stream else target.parent)
    try:
        yield temporary
        if stream:
            with temporary.open("rb") as source:
                _send(source, path)
        else:
            temporary.chmod(0o666 & ~_umask())
            _rename(temporary, target)
    except BrokenPipeError:
        raise  # of stdout: see terminal.py
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _rename(temporary: Path, target: Path) -> None:
    """A file that is mounted, as into a container, can only be written over: no rename replaces it."""
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(temporary, target)


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder for temporary files, removed at the end. Raises UserError where none can be made, NoSpace where it is
    full.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"cgnet-{purpose}-", ignore_cleanup_errors=True)
    except OSError as error:
        failed = NoSpace if error.errno in FULL else UserError
        raise failed(f"temporary files can't be written: {error.strerror}; TMPDIR names a folder for them") from error
    with folder as name:
        try:
            yield Path(name)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise NoSpace(f"{name} can't be written: {error.strerror}; TMPDIR names another folder") from error


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Keep other processes that lock a path in the same folders waiting.

    The folder itself is locked, so that no lock file is left behind; a file system without locks goes without.
    """
    with ExitStack() as stack:
        for folder in sorted({real(path).parent for path in paths}):  # one order: nobody waits in a circle
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _send(source: BinaryIO, stream: Path) -> None:
    if stream == STDOUT:
        sys.stdout.flush()
        shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        with stream.open("ab") as out:  # waits for a FIFO's reader
            shutil.copyfileobj(source, out)


def matching(pattern: str) -> list[str]:
    """What a glob pattern matches. Folders that exist as they are spelled, with brackets too, are taken so."""
    path = Path(pattern)
    folder = next(one for one in path.parents if one.exists())
    return glob.glob(str(Path(glob.escape(str(folder)), path.relative_to(folder))), recursive=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by a file of `content`. Raises as `replacing` does."""
    if not is_stream(path):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return
    try:
        _send(io.BytesIO(content), path)
    except BrokenPipeError:
        raise  # of stdout: see terminal.py
    except OSError as error:
        raise unwritten(path, error) from error


def write_together(files: Mapping[Path, bytes]) -> None:
    """Replace each path by its content, the first one last; where one can't be written, none is.

    Missing folders are made. Raises as `make_folder` and `replacing` do.
    """
    made: list[Path] = []
    try:
        with ExitStack() as stack:
            for path, content in files.items():
                folders = [path.parent, *path.parent.parents]
                made += reversed(list(takewhile(lambda folder: not folder.exists(), folders)))
                make_folder(path.parent)
                stack.enter_context(replacing(path)).write_bytes(content)
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise


def json_bytes(data: Any) -> bytes:
    """`data` as indented JSON. NaN is no JSON and raises ValueError."""
    return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


def write_json(path: Path, data: Any) -> None:
    """Replace `path` by `data` as indented JSON. Raises as `replacing` and `json_bytes` do."""
    write_bytes(path, json_bytes(data))


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
