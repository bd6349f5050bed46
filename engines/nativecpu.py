"""Our own CPU engine (engines/native, docs/native.md): one network, no runtime, by its C functions."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint8, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.base import WARM_RUNS, Engine, EngineInfo, GraphEngine, Layer
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, MissingPackage, UsageError, require
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

BAD_INPUT, UNAVAILABLE = 2, 5  # of cgnet_native_status
FRAMES_U8, LABELS_U8 = POINTER(c_uint8), POINTER(c_uint8)
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "error": (c_char_p, ()),
    "load": (c_int, (c_char_p, c_size_t, c_int, c_char_p, c_char_p, POINTER(c_void_p))),
    "run": (c_int, (c_void_p, FRAMES_U8, c_int, c_int, c_int, LABELS_U8)),
    "scores": (c_int, (c_void_p, POINTER(c_float))),
    "instructions": (c_char_p, (c_void_p,)),
    "arithmetic": (c_char_p, (c_void_p,)),
    "best_instructions": (c_char_p, (c_char_p,)),
    "profile": (None, (c_void_p, c_int)),
    "operator": (c_int, (c_void_p, c_int, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int64), POINTER(c_int64))),
    "close": (None, (c_void_p,)),
}


Arithmetic = Literal["f32", "bf16"]


def open(request: Request, *, arithmetic: Arithmetic = "f32") -> Engine:
    return NativeEngine(*requested(request), threads=request.threads, arithmetic=arithmetic, profile=request.profile)


def native_or_none(file: OnnxFile, shape: Shape, request: Request) -> Engine | None:
    """The engine where nobody chose one, if it is installed and the file is of `--target native`; else None."""
    try:
        return NativeEngine(file, shape, threads=request.threads, profile=request.profile)
    except (MissingPackage, EngineUnavailable, ArtifactError) as reason:
        log.debug(f"{request.path}: running by ONNX Runtime: {reason}")
        return None


def probe(*, arithmetic: Arithmetic = "f32") -> str:
    best = library()["best_instructions"](arithmetic.encode())
    if best is None:
        raise EngineUnavailable(library()["error"]().decode())
    return f"cgnet-native {importlib.metadata.version('cgnet-native')}; {best.decode()}"


class NativeEngine(GraphEngine):
    """A file of `--target native`. shape: the (N, H, W) to take. threads: None for one a core.

    instructions: "amx" (int8 and bf16), "avx512", "avx_vnni", "avx2", "i8mm", "dotprod" or "generic", "" for the best
    of this CPU. arithmetic: what a file in f32 is computed in; EngineUnavailable if the CPU can't. profile: as of
    open_engine.
    """

    def __init__(
        self,
        file: OnnxFile,
        shape: Shape,
        *,
        threads: int | None = None,
        instructions: str = "",
        arithmetic: Arithmetic = "f32",
        profile: bool = False,
    ) -> None:
        self._network, self._library = c_void_p(), library()
        self._ends, self._profiles = file.ends, profile
        content, threads = file.content, cores() if threads is None else threads
        hints = instructions.encode(), arithmetic.encode()
        self._check(
            self._library["load"](content, len(content), threads, *hints, byref(self._network)),
            lambda reason: ArtifactError(f"native can't run {file.path}: {reason}"),
        )
        runs_in, used = (self._library[name](self._network).decode() for name in ("arithmetic", "instructions"))
        provider = f"CPU {runs_in} {used}"
        self.info = EngineInfo("native", provider, file.precision, file.spec, shape, file.sha256, file.assumed)

    def _check(self, status: int, bad_input: Callable[[str], CgnetError]) -> None:
        if status:
            reason = self._library["error"]().decode(errors="replace")
            raise (
                bad_input(reason)
                if status == BAD_INPUT
                else (EngineUnavailable(reason) if status == UNAVAILABLE else CgnetError(reason))
            )

    def _load(self, frames: U8) -> None:
        self._frames = self._prepared(frames)
        self._labels = np.empty(frames.shape[:3], np.uint8)

    def enqueue(self) -> None:
        frames = self._frames.ctypes.data_as(FRAMES_U8)
        labels = self._labels.ctypes.data_as(LABELS_U8)
        self._check(self._library["run"](self._network, frames, *self._fed, labels), UsageError)

    def sync(self) -> None:
        """Nothing to wait for: `enqueue` returns when it is done."""

    def _output(self) -> U8:
        return self._labels

    def scores(self, frames: U8) -> F32:
        """(1, H, W, 3) u8 BGR -> (K, H/8, W/8) f32, sides rounded up: what is enlarged, and then compared."""
        self.infer(frames)
        _, h, w = self._fed
        scores = np.empty((self.info.spec.classes, -(-h // 8), -(-w // 8)), np.float32)
        self._check(self._library["scores"](self._network, scores.ctypes.data_as(POINTER(c_float))), UsageError)
        return scores

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        if not self._profiles:
            return super().profile(frames, runs)
        self.load(frames)
        for _ in range(WARM_RUNS):
            self.enqueue()
        self._library["profile"](self._network, 1)
        for _ in range(runs):
            self.enqueue()
        self._library["profile"](self._network, 0)
        return tuple(Layer(name, kind, ns / runs) for name, kind, ns in self._operators())

    def _operators(self) -> list[tuple[str, str, int]]:
        name, kind, macs, ns = c_char_p(), c_char_p(), c_int64(), c_int64()
        rows: list[tuple[str, str, int]] = []
        while self._library["operator"](self._network, len(rows), byref(name), byref(kind), byref(macs), byref(ns)):
            rows.append(((name.value or b"").decode(errors="replace"), (kind.value or b"").decode(), ns.value))
        return rows

    def close(self) -> None:
        self._library["close"](self._network)
        self._network = c_void_p()


@cache
def library() -> dict[str, Any]:
    """The C functions, without their prefix. Raises MissingPackage where the package isn't installed."""
    try:
        folders = require("cgnet_native", extra="").__path__
    except MissingPackage as error:
        raise MissingPackage("cgnet_native is not installed: pip install ./engines/native, in a checkout") from error
    files = [path for folder in folders for path in sorted(Path(folder).glob("*cgnet_native.*"))]
    if not files:
        raise EngineUnavailable(f"cgnet-native in {', '.join(folders)} has no library: install it again")
    loaded = ctypes.CDLL(str(files[0]))
    functions = {}
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, f"cgnet_native_{name}")
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return functions
