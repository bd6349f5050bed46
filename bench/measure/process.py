"""An engine in a process of its own, seen from the bench: start it, ask it, and be sure that it ends.

A question is the name of one of its methods and the arguments, an answer what that returned, or the CgnetError that it
raised. Both ends of the connection are ours, so they are pickled.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from types import TracebackType
from typing import Self, TypeVar

from cgnet_deploy.child import program as child
from cgnet_deploy.errors import CgnetError

log = logging.getLogger(__name__)

R = TypeVar("R")

PROGRAM = child("cgnet_deploy.bench.measure.worker")
STALL_S = 600.0  # a plan that is compiled on loading, or ten inferences of a large batch, take minutes
GRACE_S = 5.0
WATCH_S = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """So many images are done; the answer is still to come."""

    done: int


@dataclass(frozen=True, slots=True)
class Logged:
    """What the process logged meanwhile: it is shown, or not, as what this one logs is."""

    level: int
    text: str


class EngineProcess:
    """A context manager. On leaving, the process has ended, whatever it was doing.

    name: how errors call it. threads: how many it may compute with; set before anything is imported there.
    program: what to start, with the number of its end of the connection as last argument.
    """

    def __init__(self, name: str, threads: int, *, program: Sequence[str] = PROGRAM, stall_s: float = STALL_S) -> None:
        self.name = name
        self.stall_s = stall_s
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [*program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # whatever a runtime prints must not mix with the results
                env=environment(threads),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches the bench alone, which then ends its engines in order
            )

    def ask(
        self, wanted: type[R], method: str, *args: object, extra_s: float = 0.0, watch: Callable[[], None] | None = None
    ) -> R:
        """What `method` of the process's Session (worker.py) returns; see `follow`."""
        for answer in self.follow(wanted, method, *args, extra_s=extra_s, watch=watch):
            if not isinstance(answer, Progress):
                return answer
        raise CgnetError(f"{self.name}: its process gave no answer to {method!r}")

    def follow(
        self, wanted: type[R], method: str, *args: object, extra_s: float = 0.0, watch: Callable[[], None] | None = None
    ) -> Iterator[Progress | R]:
        """The progress that the process reports with `method`, and at last its answer.

        Waits up to the stall time and `extra_s` for each, and calls `watch` every quarter of a second of it. Raises the
        CgnetError that the process met, or one that says how it died or that it hangs.
        """
        patience_s = self.stall_s + extra_s
        try:
            self.connection.send((method, args))
            while True:
                if not self._heard(patience_s, watch):
                    raise CgnetError(f"{self.name}: its process hangs: {method!r} took more than {patience_s:.0f} s")
                answer = self.connection.recv()
                if isinstance(answer, Logged):
                    log.log(answer.level, answer.text)
                    continue
                if isinstance(answer, CgnetError):
                    raise answer
                if not isinstance(answer, (Progress, wanted)):
                    raise CgnetError(f"{self.name}: its process answered {method!r} with {type(answer).__name__}")
                yield answer
                if not isinstance(answer, Progress):
                    return
        except (EOFError, ConnectionError):
            raise CgnetError(f"{self.name}: its process {self._death()}, asked to {method}") from None

    def _heard(self, patience_s: float, watch: Callable[[], None] | None) -> bool:
        """Wait for a message: is there one?"""
        while watch and patience_s > WATCH_S:
            if self.connection.poll(WATCH_S):
                return True
            watch()
            patience_s -= WATCH_S
        return self.connection.poll(patience_s)

    def _death(self) -> str:
        code = self.process.wait(GRACE_S)
        if code >= 0:
            return f"ended with code {code}"
        reason = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{reason}"

    def close(self) -> None:
        """End the process: by closing the connection, which it takes as the end, else by force."""
        self.connection.close()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.close()


def environment(threads: int) -> dict[str, str]:
    """Of an engine's process: ours, its threads stated, and modules found where we find them."""
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    return {**os.environ, **dict.fromkeys(pools, str(threads)), "PYTHONPATH": places}
