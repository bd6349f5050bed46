"""What a runtime made of a file, kept for the next start: compiling takes longer than anything else of one.

    $XDG_CACHE_HOME/cgnet-deploy/RUNTIME/<sha256 of all that it depends on>     (else ~/.cache), 256 MiB a runtime

A runtime trusts what it is given here, and may crash on anything else. So an entry is read only if it is whole, was
made of the same file by the same runtime on such a CPU, and if nobody but this user could have written it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.cpu import cpu_flags
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_bytes

log = logging.getLogger(__name__)

MAX_CACHE_BYTES = 256 << 20
DIGEST_BYTES = hashlib.sha256().digest_size
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_folder(runtime: str) -> Path:
    """Where it is, by the XDG base directory specification. Raises RuntimeError where there is no home either."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cgnet-deploy" / runtime


def bound(folder: Path, most_bytes: int) -> None:
    """Remove the oldest files in `folder`, if it exists, until the rest holds at most `most_bytes`."""
    files = [(path.lstat(), path) for path in folder.glob("*") if path.is_file() and not path.is_symlink()]
    total = 0
    for found, path in sorted(files, key=lambda one: one[0].st_mtime_ns, reverse=True):
        total += found.st_size
        if total > most_bytes:
            log.info(f"{path} is removed: the cache of compiled engines holds {most_bytes >> 20} MiB")
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """runtime: the name of its folder. made_of: all that the content depends on, in words."""

    runtime: str
    made_of: str

    @classmethod
    def of(cls, runtime: str, version: str, content: bytes, *settings: object) -> Kept:
        """What `runtime` makes of the bytes of a file on this machine. version: as exact as it knows its own."""
        facts = (version, hashlib.sha256(content).hexdigest(), *settings, platform.machine(), *sorted(cpu_flags()))
        return cls(runtime, "\n".join(map(str, facts)))

    @property
    def name(self) -> str:
        return hashlib.sha256(self.made_of.encode()).hexdigest()

    def read(self) -> bytes | None:
        """None where there is none that can be trusted."""
        try:
            entry = _read_own(cache_folder(self.runtime), self.name)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError) as error:
            log.debug(f"nothing is read from the cache of {self.runtime}: {error}")
            return None
        content = entry[DIGEST_BYTES:]
        if entry[:DIGEST_BYTES] != self._digest(content):
            log.info(f"{cache_folder(self.runtime) / self.name} is damaged: compiling anew")
            return None
        return content

    def write(self, content: bytes) -> None:
        """A folder that can't be written is no error."""
        if len(content) > MAX_CACHE_BYTES - DIGEST_BYTES:
            return
        try:
            folder = cache_folder(self.runtime)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_own(folder.stat())
            write_bytes(folder / self.name, self._digest(content) + content)
            (folder / self.name).chmod(0o600)
            bound(folder, MAX_CACHE_BYTES)
        except (CgnetError, OSError, RuntimeError) as error:
            log.debug(f"nothing is kept in the cache of {self.runtime}: {error}")

    def _digest(self, content: bytes) -> bytes:
        """Of what it was made of too: an entry under another's name is none."""
        return hashlib.sha256(self.name.encode() + content).digest()


def _read_own(folder: Path, name: str) -> bytes:
    """The file `name`. Raises OSError if it isn't there, or if somebody else could have put it there."""
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_own(os.fstat(inside))
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
        with open(file, "rb") as opened:
            found = os.fstat(file)
            _check_own(found)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_CACHE_BYTES:
                raise OSError(f"{folder / name} is no entry")
            with suppress(OSError):
                os.utime(file)  # the oldest go first
            return opened.read(MAX_CACHE_BYTES)
    finally:
        os.close(inside)


def _check_own(found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() or found.st_mode & OTHERS_MAY_WRITE:
        raise PermissionError("others may write there")
