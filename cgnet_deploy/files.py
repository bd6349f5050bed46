"""Files: written atomically, hashed, checked before any work, and JSON in and out with bounds.

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

from cgnet_deploy.errors import ArtifactError, CgnetError, NoSpace, UserError

STDOUT = Path("-")
OPEN_FILES = ("/dev/fd/", "/dev/std", "/proc/")  # the process's own: a file behind one is open already
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BLOCK_BYTES = 4096
TEMPORARY = ".tmp"


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
    if path == STDOUT:
        return
    _check_length(path)
    if is_stream(path):
        if not os.access(path, os.W_OK):
            raise UserError(f"{path} can't be written: you may not write to it")
        return
    folder = real(path).parent if path.is_symlink() else path.parent
    if path.is_dir() or not folder.is_dir():
        raise UserError(f"{path} can't be written: is {folder} a folder that you may write to?")
    _try_to_write(path, folder)


def _check_length(path: Path) -> None:
    """Raise UserError for a name that no file system takes, at which `Path.exists` raises too."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _no_file(path, error) from error


def unwritten(path: Path, error: OSError) -> CgnetError:
    """What is raised where a write to `path` has failed."""
    kind = NoSpace if error.errno in FULL else CgnetError
    return kind(f"{path} can't be written: {error.strerror or error}")


def _try_to_write(path: Path, folder: Path) -> None:
    """Write a block to a file in `folder`, and remove it: permissions don't tell of full or read-only disks."""
    try:
        with tempfile.NamedTemporaryFile(prefix=_prefix(path), suffix=TEMPORARY, dir=folder) as file:
            file.write(bytes(BLOCK_BYTES))
    except OSError as error:
        raise _no_file(path, error) from error


def _no_file(path: Path, error: OSError) -> CgnetError:
    """Where not even a temporary file can be made: the place is at fault."""
    failed = unwritten(path, error)
    return failed if isinstance(failed, NoSpace) else UserError(str(failed))


def check_regular(path: Path) -> None:
    """Raise UserError, before any work, if `path` can't hold an artifact."""
    if is_stream(path):
        raise UserError(f"{path} is no regular file: an artifact needs one, with its sidecar beside it")


def real(path: Path) -> Path:
    """What `path` names, through links. Raises UserError for a circle of them, or a current folder that is gone."""
    try:
        return path.resolve()
    except FileNotFoundError as error:
        raise UserError(f"{path}: the current folder is gone; change to one that is there") from error
    except (RuntimeError, OSError) as error:  # RuntimeError up to Python 3.12
        raise UserError(f"{path} is a link that leads in a circle") from error


def is_stream(path: Path) -> bool:
    """Whether `path` is stdout, a device, a FIFO or a socket, which can be written to and never replaced."""
    if path == STDOUT or str(path).startswith(OPEN_FILES):
        return True
    there = os.path.exists(path)  # Path.exists raises for a name that is too long
    return there and not path.is_file() and not path.is_dir()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success rename it to `path`, else remove it.

    A link's target is replaced; what is a stream gets the content. Raises UserError if the folder can't be written,
    NoSpace if the disk is full.
    """
    stream = is_stream(path)
    target = real(path)
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=TEMPORARY, dir=None if stream else target.parent)
    except OSError as error:
        raise _no_file(path, error) from error
    os.close(handle)
    temporary = Path(name)
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


def _prefix(path: Path) -> str:
    """Of a temporary file's name, short enough to leave room for the rest of it."""
    return f".{path.name[:40]}."


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


def check_name(name: str) -> None:
    """Raise UserError for a name whose bytes are no UTF-8, at which OpenCV crashes and which no text file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name}: its name is not UTF-8; rename it, or make a link to it") from None


def check_folder(path: Path) -> None:
    """Raise UserError, before any work, if files could not be written to a folder `path`, which may have to be made."""
    _try_to_write(path, _nearest(path))


def _nearest(path: Path) -> Path:
    """`path`, or what is there of its parents. Raises UserError if that is no folder."""
    if path == STDOUT:
        raise UserError("- is stdout; wanted a folder")
    _check_length(path)
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise UserError(f"{path} can't be created: {there} is no folder")
    return there


def make_folder(path: Path) -> None:
    """Create a folder and its parents if it is missing. Raises UserError if it can't be created, NoSpace."""
    _nearest(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise (NoSpace if error.errno in FULL else UserError)(f"{path} can't be created: {error.strerror}") from error


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
