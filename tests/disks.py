"""Places that can't be written, whoever runs the tests: root, too, may make no file in /sys, nor one beyond a limit."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

READ_ONLY = Path("/sys")  # as root, its permissions allow everything


@contextmanager
def full_disk(most_bytes: int = 0) -> Iterator[None]:
    """A file of this process, or of one started inside, that grows beyond `most_bytes` fails as on a full disk.

    Python ignores the signal that comes with it.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def own_mounts(*mounts: str) -> list[str]:
    """What runs a command with `mounts` of its own: put it before. Skips the test where they are not allowed."""
    prefix = ["unshare", "--mount", "--map-root-user", "sh", "-ec", "; ".join((*mounts, 'exec "$@"')), "sh"]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if tried.returncode:
        pytest.skip(f"no mounts of one's own here: {tried.stderr.strip()}")
    return prefix
