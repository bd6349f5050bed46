"""Whether a file or a folder can be written at a path: found out before any work, said in one line.

`-` is stdout; a device, a FIFO or a socket is a stream, which can be written to and never replaced.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from cgnet_deploy.errors import CgnetError, NoSpace, UserError

STDOUT = Path("-")
OPEN_FILES = ("/dev/fd/", "/dev/std", "/proc/")  # the process's own: a file behind one is open already
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BLOCK_BYTES = 4096


def check_writable(path: Path) -> None:
    """Raise UserError, before any work, if a file at `path` could not be written, NoSpace if the disk is full."""
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


def check_folder(path: Path) -> None:
    """Raise UserError, before any work, if files could not be written to a folder `path`, which may have to be made;
    NoSpace if the disk is full.
    """
    _try_to_write(path, _nearest(path))


def check_regular(path: Path) -> None:
    """Raise UserError, before any work, if `path` can't hold an artifact."""
    if is_stream(path):
        raise UserError(f"{path} is no regular file: an artifact needs one, with its sidecar beside it")


def check_name(name: str) -> None:
    """Raise UserError for a name whose bytes are no UTF-8, at which OpenCV crashes and which no text file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name}: its name is not UTF-8; rename it, or make a link to it") from None


def make_folder(path: Path) -> None:
    """Create a folder and its parents if it is missing. Raises UserError if it can't be created, NoSpace."""
    _nearest(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise (NoSpace if error.errno in FULL else UserError)(f"{path} can't be created: {error.strerror}") from error


def is_stream(path: Path) -> bool:
    """Whether `path` is stdout, a device, a FIFO or a socket, which can be written to and never replaced."""
    if path == STDOUT or str(path).startswith(OPEN_FILES):
        return True
    there = os.path.exists(path)  # Path.exists raises for a name that is too long
    return there and not path.is_file() and not path.is_dir()


def real(path: Path) -> Path:
    """What `path` names, through links. Raises UserError for a circle of them, or a current folder that is gone."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:  # Path.resolve takes no notice of it from Python 3.13 on
            raise UserError(f"{path} is a link that leads in a circle") from error
    try:
        return path.resolve()
    except FileNotFoundError as error:
        raise UserError(f"{path}: the current folder is gone; change to one that is there") from error


def temporary_file(path: Path, folder: Path | None) -> Path:
    """A new, empty file in `folder`, or where temporary files go, which is to become `path`.

    Raises UserError if there can't be one, NoSpace if the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=folder)
    except OSError as error:
        raise _not_even_empty(path, error) from error
    os.close(handle)
    return Path(name)


def unwritten(path: Path, error: OSError) -> CgnetError:
    """What is raised where a write to `path` has failed."""
    kind = NoSpace if error.errno in FULL else CgnetError
    return kind(f"{path} can't be written: {error.strerror or error}")


def _not_even_empty(path: Path, error: OSError) -> CgnetError:
    """Where not even an empty file can be made, the place that was chosen is at fault."""
    failed = unwritten(path, error)
    return failed if isinstance(failed, NoSpace) else UserError(str(failed))


def _try_to_write(path: Path, folder: Path) -> None:
    """Write a block to a file in `folder`, and remove it: permissions don't tell of full or read-only disks."""
    temporary = temporary_file(path, folder)
    try:
        temporary.write_bytes(bytes(BLOCK_BYTES))
    except OSError as error:
        raise _not_even_empty(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_length(path: Path) -> None:
    """Raise UserError for a name that no file system takes, at which `Path.exists` raises too."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _not_even_empty(path, error) from error


def _nearest(path: Path) -> Path:
    """`path`, or what is there of its parents. Raises UserError if that is no folder."""
    if path == STDOUT:
        raise UserError("- is stdout; wanted a folder")
    _check_length(path)
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise UserError(f"{path} can't be created: {there} is no folder")
    return there
