"""How many threads this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """How many cores this process may run on; in a container often fewer than the machine has."""
    return len(os.sched_getaffinity(0))
