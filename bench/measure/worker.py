"""The process of one engine; its only argument is the number of its end of a connection (see process.py).

Each engine has a process of its own, because the thread pools of several runtimes in one process disturb
each other. It does nothing but answer (see wire.py) and ends when the connection does. While another engine
is timed it sleeps in a read.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.bench.measure import latency, wire
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import log_to_stderr


@dataclass(frozen=True, slots=True)
class Start:
    """A loaded engine and what loading took. file_bytes: of its file."""

    engine: Engine
    file_bytes: int
    libraries_ns: int
    load_ns: int


OpenEngine = Callable[[wire.Open], Start]


def serve(connection: Connection[Any, Any], open_engine: OpenEngine) -> None:
    """Answer until the other side is gone, or until something can't be done."""
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            converse(connection, open_engine)
        except CgnetError as error:
            wire.send(connection, wire.Failed(type(error).__name__, str(error)))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            traceback.print_exc()
            wire.send(
                connection, wire.Failed("CgnetError", f"the engine's process failed: {type(error).__name__}: {error}")
            )


def converse(connection: Connection[Any, Any], open_engine: OpenEngine) -> None:
    """Open the engine that the first message asks for, then answer the others."""
    request = wire.receive(connection)
    if not isinstance(request, wire.Open):
        raise CgnetError(f"the first message is {type(request).__name__}, wanted Open")
    start = open_engine(request)
    with start.engine:
        session = Session(start, connection, lambda res: open_engine(replace(request, res=res, batch=1)).engine)
        wire.send(connection, session.opened())
        while True:
            wire.send(connection, session.answer(wire.receive(connection)))


class Session:
    """An open engine, and the boundary that it is being timed at. at_size: opens it once more, for another size."""

    def __init__(self, start: Start, connection: Connection[Any, Any], at_size: Callable[[Res], Engine]) -> None:
        self.start = start
        self.engine = engine = start.engine
        self.connection = connection
        self.at_size = at_size
        self.measure: Callable[[int, int], latency.Round]  # set by `warm`
        n, h, w = engine.info.shape
        if not (n and h and w):
            raise CgnetError(f"an engine for {engine.info.shape} was opened; it is timed at definite sizes")
        self.shape = (n, h, w)

    def opened(self) -> wire.Opened:
        info, (batch, *res), start = self.engine.info, self.shape, self.start
        return wire.Opened(
            info.backend,
            info.provider,
            info.precision.value,
            info.sha256,
            info.spec.class_names,
            Res(*res),
            batch,
            start.file_bytes,
            start.libraries_ns,
            start.load_ns,
        )

    def answer(self, request: wire.Request | wire.Reply) -> wire.Reply:
        match request:
            case wire.Begin():
                frames = np.load(request.frames, allow_pickle=False)
                return wire.Begun(latency.timed(partial(self.engine.infer, frames))())
            case wire.Warm():
                return self.warm(request)
            case wire.Measure():
                measured = self.measure(round(request.least_s * 1e9), request.least_samples)
                return wire.Measured(measured.samples_ns, measured.window_ns, peak_memory_mib())
            case wire.Score():
                return self.score(request)
            case wire.Profile():
                layers = self.engine.profile(np.load(request.frames, allow_pickle=False), request.runs)
                columns = zip(*((layer.name, layer.kind, layer.mean_ns) for layer in layers), strict=True)
                return wire.Profiled(*map(tuple, columns))
            case _:
                raise CgnetError(f"{type(request).__name__} is not something that an engine answers")

    def warm(self, request: wire.Warm) -> latency.Warmed:
        frames = np.load(request.frames, allow_pickle=False)
        sample = sampler(self.engine, request.boundary, frames)
        least_ns = round(request.least_ms * 1e6)
        if request.fps is None:
            self.measure = partial(latency.measure, sample)
            return latency.warm_up(sample, least_ns, request.least_steps, request.patience)
        # Paced too, so that the processor is as cool, and its clock as low, as pacing leaves it.
        self.measure = partial(latency.measure_paced, sample, request.fps)
        taken = self.measure(least_ns, request.least_steps)
        return latency.Warmed(len(taken.samples_ns), taken.samples_ns[-1], settled=True)

    def score(self, request: wire.Score) -> wire.Scored:
        # Imported only now: reading pictures is no part of the memory that an engine needs.
        from cgnet_deploy.bench.accuracy.scores import score
        from cgnet_deploy.bench.accuracy.views import Views
        from cgnet_deploy.data.opening import open_dataset

        dataset = open_dataset(request.data, request.split)
        with contextlib.ExitStack() as stack:
            views = stack.enter_context(Views(Res(*self.shape[1:]), self.at_size)).labels if request.views else None
            return score(
                self.engine,
                self.shape,
                dataset,
                request,
                lambda done: wire.send(self.connection, wire.Progress(done)),
                views,
            )


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


def peak_memory_mib() -> float:
    """The largest resident size that this process has had."""
    # Not getrusage's ru_maxrss: that is inherited over fork and exec, so it starts at the parent's size.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise CgnetError("/proc/self/status doesn't tell the peak memory (VmHWM)")


def open_for_timing(request: wire.Open) -> Start:
    """The engine, opened for definite sizes: those asked for, else its own, else its contract's and one frame."""
    import cv2

    from cgnet_deploy.engines.open import backend_and_path, open_engine

    cv2.setNumThreads(request.threads)  # OpenCV has a pool of its own, which no environment variable bounds
    backend, path = backend_and_path(request.engine)
    libraries_ns = latency.timed(partial(import_ahead, backend.runtime.imports))()
    options = partial(
        open_engine, request.engine, threads=request.threads, contract=request.contract, profile=request.profile
    )

    def opened(res: Res | None, batch: int | None) -> Start:
        engines: list[Engine] = []
        load_ns = latency.timed(lambda: engines.append(options(res=res, batch=batch)))()
        return Start(engines[0], path.stat().st_size, libraries_ns, load_ns)

    start = opened(Res(*request.res) if request.res else None, request.batch)
    n, h, w = start.engine.info.shape
    if n and h and w:
        return start
    # Open anew rather than feed any size that it takes: runtimes plan better for sizes that they know.
    own = start.engine.info.spec.input.res
    start.engine.close()
    with contextlib.redirect_stderr(io.StringIO()):  # what it has to say it has said
        return opened(Res(h or own.height, w or own.width), n or 1)


def import_ahead(modules: tuple[str, ...]) -> None:
    """Import a runtime ahead of its use. One that is missing is told of, with what installs it, when it is used."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    with log_to_stderr(logging.INFO):
        serve(Connection(int(sys.argv[1])), open_for_timing)
