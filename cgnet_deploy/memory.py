"""How much memory a process takes, in MiB."""

from __future__ import annotations

from pathlib import Path

import psutil


def resident_mib(pid: int | None = None) -> float:
    """Of a process, this one by default; 0 of one that has just ended."""
    try:
        return float(psutil.Process(pid).memory_info().rss / 2**20)
    except psutil.NoSuchProcess:
        return 0.0


def peak_mib() -> float:
    """The largest resident size that this process has had, its interpreter and libraries included."""
    # psutil knows no peak on Linux; ru_maxrss is inherited over fork and exec, so it starts at the parent's size.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resident_mib()
