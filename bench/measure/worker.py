"""The process of one engine; its only argument is the number of its end of a connection (see process.py).

Each engine has a process of its own, because the thread pools of several runtimes in one process disturb
each other. It does nothing but answer and ends when the connection does. While another engine
is timed it sleeps in a read.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from cgnet_deploy.bench.measure import latency
from cgnet_deploy.bench.measure.opening import Opened, OpenEngine, Start, open_for_timing
from cgnet_deploy.bench.measure.process import Logged, Progress
from cgnet_deploy.engines.base import Engine, Layer
from cgnet_deploy.errors import CgnetError, UserError, one_line
from cgnet_deploy.memory import peak_mib
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

if TYPE_CHECKING:
    from cgnet_deploy.bench.accuracy.scores import Accuracy, ScoreOptions


class ToBench(logging.Handler):
    """The bench shows what is logged here, if it shows what it logs itself."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        super().__init__()
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self.connection.send(Logged(record.levelno, record.getMessage()))


def serve(connection: Connection[Any, Any], open_engine: OpenEngine) -> None:
    """Answer until the other side is gone, or until something can't be done."""
    logger = logging.getLogger("cgnet_deploy")
    logger.addHandler(ToBench(connection))
    logger.setLevel(logging.DEBUG)
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            converse(connection, open_engine)
        except CgnetError as error:
            connection.send(error)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                connection.send(UserError(f"{error.filename}: {error.strerror}"))
                return
            traceback.print_exc()
            connection.send(CgnetError(f"the engine's process failed: {type(error).__name__}: {one_line(error)}"))


def converse(connection: Connection[Any, Any], open_engine: OpenEngine) -> None:
    """Open the engine that the first message asks for, then answer the others."""
    method, args = connection.recv()
    if method != "open":
        raise CgnetError(f"the first message is {method!r}, wanted 'open'")
    (request,) = args
    start = open_engine(request)
    with start.engine:
        session = Session(start, connection, lambda res: open_engine(replace(request, res=res, batch=1)).engine)
        connection.send(session.opened())
        while True:
            method, args = connection.recv()
            connection.send(getattr(session, method)(*args))


class Session:
    """An open engine, and the boundary that it is being timed at: its methods are what the bench may ask for.

    at_size: opens the engine once more, for another size. frames: a .npy file.
    """

    def __init__(self, start: Start, connection: Connection[Any, Any], at_size: Callable[[Res], Engine]) -> None:
        self.start = start
        self.engine = engine = start.engine
        self.connection = connection
        self.at_size = at_size
        self._measure: Callable[[int, int], latency.Round]  # set by `warm`
        n, h, w = engine.info.shape
        if not (n and h and w):
            raise CgnetError(f"an engine for {engine.info.shape} was opened; it is timed at definite sizes")
        self.shape = (n, h, w)

    def opened(self) -> Opened:
        info, (batch, *res), start = self.engine.info, self.shape, self.start
        return Opened(
            info.backend,
            info.provider,
            info.precision,
            info.sha256,
            info.spec.class_names,
            Res(*res),
            batch,
            start.file_bytes,
            start.libraries_ns,
            start.load_ns,
            info.assumed,
        )

    def first(self, frames: str) -> int:
        """The very first inference, from frame to labels, in ns: what is compiled or allocated in it is included."""
        return latency.timed(partial(self.engine.infer, read_frames(frames)))()

    def labels(self, frames: str) -> U8:
        """(N, H, W) u8 of the frames."""
        return self.engine.infer(read_frames(frames))

    def warm(
        self,
        boundary: latency.Boundary,
        fps: float | None,
        frames: str,
        least_ms: float,
        least_steps: int,
        patience: int,
    ) -> latency.Warmed:
        """Make ready for a boundary and warm up (see latency.warm_up). fps: of frames that are paced, else None."""
        sample = sampler(self.engine, boundary, read_frames(frames))
        least_ns = round(least_ms * 1e6)
        if fps is None:
            self._measure = partial(latency.measure, sample)
            return latency.warm_up(sample, least_ns, least_steps, patience)
        # Paced too, so that the processor is as cool, and its clock as low, as pacing leaves it.
        self._measure = partial(latency.measure_paced, sample, fps)
        taken = self._measure(least_ns, least_steps)
        return latency.Warmed(len(taken.samples_ns), taken.samples_ns[-1], settled=True)

    def measure(self, least_s: float, least_samples: int) -> latency.Round:
        """One round of samples at the boundary that was warmed up last."""
        return self._measure(round(least_s * 1e9), least_samples)

    def peak_memory_mib(self) -> float:
        return peak_mib()

    def score(self, options: ScoreOptions) -> Accuracy:
        """The accuracy pass; reports its progress."""
        # Imported only now: reading pictures is no part of the memory that an engine needs.
        from cgnet_deploy.bench.accuracy.scores import score
        from cgnet_deploy.bench.accuracy.views import Views
        from cgnet_deploy.data.opening import open_dataset

        dataset = open_dataset(options.data, options.split)
        with contextlib.ExitStack() as stack:
            views = stack.enter_context(Views(Res(*self.shape[1:]), self.at_size)).labels if options.views else None
            return score(
                self.engine, self.shape, dataset, options, lambda done: self.connection.send(Progress(done)), views
            )

    def profile(self, frames: str, runs: int) -> tuple[Layer, ...]:
        """The time of each layer, over `runs` inferences."""
        return self.engine.profile(read_frames(frames), runs)


def read_frames(path: str) -> U8:
    """(N, H, W, 3) u8 BGR."""
    frames: U8 = np.load(path, allow_pickle=False)
    return frames


def sampler(engine: Engine, boundary: latency.Boundary, frames: U8) -> latency.Sampler:
    """What is timed at a boundary."""
    if boundary in ("e2e", "paced"):
        return latency.timed(partial(engine.infer, frames))
    engine.load(frames)
    if boundary == "device":
        return engine.device_ns

    def submit_and_wait() -> None:
        engine.enqueue()
        engine.sync()

    return latency.timed(submit_and_wait)


def main() -> None:
    serve(Connection(int(sys.argv[1])), open_for_timing)
