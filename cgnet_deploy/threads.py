"""How many threads this process may use, and work that they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

ROOT = Path("/")
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work(item)` of each, in their order, on all cores: for what leaves the interpreter, as decoding does."""
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(work, items)  # what is left is cancelled at the first error


def cores(root: Path = ROOT) -> int:
    """How many cores this process may keep busy: by its affinity and the CPU quotas of its cgroups (v1 and v2).

    A quota of 1.5 cores is 1: a second thread would stop both for a part of every period. root: of the file system.
    """
    return max(1, min(len(os.sched_getaffinity(0)), *(int(quota) for quota in _quotas(root)), 1 << 20))


def quota(root: Path = ROOT) -> int | None:
    """How many threads a quota leaves where the affinity, which runtimes heed by themselves, leaves more; else None."""
    most = cores(root)
    return most if most < len(os.sched_getaffinity(0)) else None


def heed_quota() -> None:
    """Let OpenMP, which PyTorch computes with, take no more threads than a quota leaves; before it is loaded."""
    if (most := quota()) is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(most))


def _quotas(root: Path) -> Iterator[float]:
    """In cores, of each cgroup that limits this process: its own and those around it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        v2 = number == "0" and not controllers
        if not v2 and "cpu" not in controllers.split(","):
            continue
        for mount in ("",) if v2 else ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
            top = root / "sys/fs/cgroup" / mount
            folder = top / path.lstrip("/")
            for group in (
                folder,
                *folder.parents,
            ):  # in a container the path may be that of its host: then only the top
                if not group.is_relative_to(top):
                    break
                yield from _quota(_text(group / "cpu.max").split() or _v1(group))


def _v1(group: Path) -> list[str]:
    return [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]


def _quota(words: list[str]) -> Iterator[float]:
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or no such file
        return
    if quota > 0 and period > 0:  # -1 is no limit in v1
        yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
