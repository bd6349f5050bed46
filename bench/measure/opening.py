"""An engine opened to be timed, in its own process: at definite sizes, with what loading it took."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cgnet_deploy.bench.measure import latency
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.request import NO_HINTS, Hints
from cgnet_deploy.errors import quiet_packages
from cgnet_deploy.spec import Precision, Res


@dataclass(frozen=True, slots=True)
class Start:
    """A loaded engine and what loading took. file_bytes: of its file."""

    engine: Engine
    file_bytes: int
    libraries_ns: int
    load_ns: int


@dataclass(frozen=True, slots=True)
class Open:
    """Which engine to load. res, batch: None for the engine's own, else for a batch of 1.

    profile: so that it can time its layers, which makes it slower. cache: as of open_engine.
    """

    engine: str
    res: Res | None
    batch: int | None
    threads: int
    hints: Hints = NO_HINTS
    profile: bool = False
    cache: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded engine, and the size and batch that it will be timed at.

    libraries_ns: to import its runtime; load_ns: to read, build or compile the file then.
    """

    backend: str
    provider: str
    precision: Precision
    sha256: str
    class_names: tuple[str, ...]
    res: Res
    batch: int
    file_bytes: int
    libraries_ns: int
    load_ns: int
    assumed: tuple[str, ...]


OpenEngine = Callable[[Open], Start]


def open_for_timing(request: Open) -> Start:
    """The engine, opened for definite sizes: the requested ones, else its own, else its contract's and one frame."""
    import cv2

    from cgnet_deploy.engines.open import backend_and_path, open_as

    cv2.setNumThreads(request.threads)  # OpenCV has a pool of its own, which no environment variable bounds
    backend, path = backend_and_path(request.engine)
    libraries_ns = latency.timed(partial(import_ahead, backend.runtime.imports))()
    options = partial(
        open_as, request.engine, request.hints, threads=request.threads, profile=request.profile, cache=request.cache
    )

    def opened(res: Res | None, batch: int | None) -> Start:
        engines: list[Engine] = []
        load_ns = latency.timed(lambda: engines.append(options(res=res, batch=batch)))()
        return Start(engines[0], path.stat().st_size, libraries_ns, load_ns)

    start = opened(request.res, request.batch)
    info = start.engine.info
    if None not in info.shape:
        return start
    # Open anew rather than feed any size that it takes: runtimes plan better for sizes that they know.
    start.engine.close()
    logging.disable()  # it has logged everything already
    try:
        return opened(info.res, info.shape[0] or 1)
    finally:
        logging.disable(logging.NOTSET)


def import_ahead(modules: tuple[str, ...]) -> None:
    """Import a runtime ahead of its use. One that is missing is reported, with what installs it, when it is used."""
    quiet_packages()
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
