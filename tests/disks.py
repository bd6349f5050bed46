"""Places that can't be written, whoever runs the tests: root, too, may make no file in /sys, nor one beyond a limit."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
