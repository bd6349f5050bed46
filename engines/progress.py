"""The progress of a build: TensorRT's nested phases as one number.

A phase of `total` steps that has done `done` of them stands at (done + f) / total, where f is how far the
phase inside its current step is; the outermost phase is the build.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgnet_deploy.engines.trtapi import Api
from cgnet_deploy.errors import one_line
from cgnet_deploy.progress import task

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Phase:
    parent: str | None
    total: int
    done: int = 0


class Phases:
    """Where a build stands, from the three calls of TensorRT's IProgressMonitor, which come from any of its threads.

    What they say is not relied on: an exception in such a call would cancel the build, or end the process.

    show: called with a fraction of 0 to 1 that only rises.
    """

    def __init__(self, show: Callable[[float], None]) -> None:
        self._show = show
        self._lock = threading.Lock()
        self._phases: dict[str, Phase] = {}
        self._shown = 0.0

    def start(self, name: str, parent: str | None, total: int) -> None:
        with self._lock:
            self._phases[name] = Phase(parent, max(total, 1))

    def step(self, name: str, step: int) -> None:
        """step: the number of the step that is done, from 0."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
            reached = self._reached(None)
            if reached > self._shown:
                self._shown = reached
                self._show(reached)

    def finish(self, name: str) -> None:
        with self._lock:
            self._phases.pop(name, None)

    def _reached(self, parent: str | None) -> float:
        """How far the phase inside `parent` is, the furthest one if there are several."""
        within = ((n, phase) for n, phase in self._phases.items() if phase.parent == parent and n != parent)
        return max((min(1.0, (phase.done + self._reached(n)) / phase.total) for n, phase in within), default=0.0)


@contextmanager
def watched(trt: Api, config: tensorrt.IBuilderConfig, label: str) -> Iterator[None]:
    """Show the progress of the build with `config` that happens inside, and let Ctrl-C stop it.

    A stopped build returns None to its caller; then KeyboardInterrupt is raised here.
    """
    interrupted = threading.Event()
    with task(label, total=100) as work, _ctrl_c_sets(interrupted):
        phases = Phases(lambda fraction: work.update(100 * fraction))
        monitor = config.progress_monitor = _monitor(trt, phases, interrupted)
        yield
        del monitor  # TensorRT asks that it lives as long as the build
    if interrupted.is_set():
        raise KeyboardInterrupt


def _monitor(trt: Api, phases: Phases, interrupted: threading.Event) -> tensorrt.IProgressMonitor:
    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # not super(): pybind11 needs the base itself to be called

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with _harmless():
                phases.start(name, parent, steps)

        def step_complete(self, name: str, step: int) -> bool:
            with _harmless():
                phases.step(name, step)
            return not interrupted.is_set()

        def phase_finish(self, name: str) -> None:
            with _harmless():
                phases.finish(name)

    return Monitor()


@contextmanager
def _harmless() -> Iterator[None]:
    """A build goes on when its progress can't be shown, as on a closed terminal."""
    try:
        yield
    except Exception as error:
        log.debug(f"the progress of the build is not shown: {one_line(error)}")


@contextmanager
def _ctrl_c_sets(event: threading.Event) -> Iterator[None]:
    """Ctrl-C sets `event` instead of raising: an exception would rise inside TensorRT's calls and be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    previous = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
