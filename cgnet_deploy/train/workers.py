"""Processes that read pictures: what they need, what is said where they fail, and that none outlives its run.

They pass batches on in /dev/shm, which is read-only, missing or small in some containers.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import sys
import traceback
from collections.abc import Generator, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cgnet_deploy.errors import CgnetError, NoSpace, UserError, one_line

# What torch says of a worker that was killed, and of batches that can't be received.
DIED = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) ([^.]*)")
DEAF = re.compile(r"Too many open files|received 0 items of ancdata")
FULL = (f"[Errno {errno.ENOSPC}]", f"({errno.ENOSPC})")  # as Python says it, and torch
HERE = "--workers 0 reads in this process"
LARGER = "docker run --shm-size makes it larger"
DYING_S = 5.0
Batch = tuple[Tensor, ...]


class WorkerDied(CgnetError):
    """A process that reads pictures was killed, or can't pass them on."""


def check_shared_memory(batch_bytes: int) -> None:
    """Raise UserError, before any work, where processes can't share memory, NoSpace where a batch doesn't fit."""
    try:
        multiprocessing.Lock()
        torch.empty(batch_bytes, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        if _full(error):
            kib = max(1, batch_bytes >> 10)
            raise NoSpace(f"/dev/shm has no room for a batch of {kib} KiB: {HERE}, {LARGER}") from error
        reason = one_line(error).rpartition(": ")[2] if isinstance(error, RuntimeError) else error.strerror
        raise UserError(f"/dev/shm, where processes share memory, can't be used: {reason}; {HERE}") from error


def served(loader: DataLoader[Batch | CgnetError]) -> Generator[Batch]:
    """Start the workers of `loader`; what it gives, where a CgnetError in place of a batch is raised.

    At the end, or when what is returned is closed, they are asked to end, and those that don't are killed.
    """
    before = multiprocessing.active_children()
    try:
        given = iter(loader)
    except OSError as error:  # of a fork, a pipe, a lock
        _kill(_started_since(before))
        _forget(error)
        raise_death(error)
        raise
    return _given(given, _started_since(before))


def _given(given: Iterator[Batch | CgnetError], workers: list[BaseProcess]) -> Generator[Batch]:
    try:
        while (batch := next(given, None)) is not None:
            if isinstance(batch, CgnetError):
                raise batch
            yield batch
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold `given`, which asks its workers to end when it goes
        if isinstance(error, EOFError | ConnectionError):  # of a worker that is dying: torch hears it, and says how
            wait([worker.sentinel for worker in workers], DYING_S)
        if isinstance(error, RuntimeError | OSError | EOFError):
            raise_death(error)
        raise
    finally:
        del given
        _kill(workers)


def _started_since(before: list[BaseProcess]) -> list[BaseProcess]:
    return [child for child in multiprocessing.active_children() if child not in before]


def _kill(workers: list[BaseProcess]) -> None:
    """Python waits for them at exit, and one may be stuck in a file system."""
    for worker in workers:
        worker.kill()
        worker.join()


def _forget(error: OSError) -> None:
    """Free what torch had begun to make, which complains that it was never made."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    traceback.clear_frames(error.__traceback__)
    sys.unraisablehook = hook


def raise_death(error: RuntimeError | OSError | EOFError) -> None:
    """Raise WorkerDied if `error` is of a worker; torch says so in the main thread, wherever that is."""
    if (found := DIED.search(str(error))) is not None:
        raise WorkerDied(
            f"a process that reads pictures {found[1]}: is memory, or shared memory (docker run --shm-size), too "
            f"small? {HERE}"
        ) from error
    if reason := _unheard(error):
        raise WorkerDied(f"processes that read pictures can't be started or heard: {reason}; {HERE}") from error


def _unheard(error: RuntimeError | OSError | EOFError) -> str | None:
    if isinstance(error, OSError):
        return error.strerror  # a worker's own error has none, as torch raises it again
    if isinstance(error, EOFError):
        return "one has gone"
    return "Too many open files" if DEAF.search(str(error)) else None


def as_worker(_: int) -> None:
    """OpenCV's own threads would fight with those of the other workers. Signals that are sent to all processes of a
    job, as by a terminal, systemd or Slurm, are for the main one, which ends the others."""
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Queue._on_queue_feeder_error = _unsent  # type: ignore[attr-defined]


def _unsent(queue: Queue[Any], error: Exception, item: tuple[int, object] | memoryview) -> None:
    """Send why in place of a batch that can't be sent: Python would drop it, and the main process wait for ever.

    item: (number, batch); its bytes once they are on their way, which fails if nobody listens any more.
    """
    if not isinstance(item, tuple) or isinstance(item[1], CgnetError):
        os._exit(1)
    why = f"/dev/shm is full: {HERE}, {LARGER}" if _full(error) else f"{one_line(error)}; {HERE}"
    queue.put((item[0], WorkerDied(f"a process that reads pictures can't pass on a batch: {why}")))


def _full(error: Exception) -> bool:
    """Whether shared memory is; torch has no type for it."""
    return any(words in str(error) for words in FULL)
