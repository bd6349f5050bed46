"""A reference, `PATH` or `BACKEND:PATH`, -> an engine: the prefix chooses the backend, else the suffix does."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from cgnet_deploy.engines.backends import BY_NAME, BY_SUFFIX, Backend
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.request import Hints, Request
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Color, Res, Triple
from cgnet_deploy.threads import quota


def open_engine(
    ref: str | Path,
    *,
    res: str | Res | None = None,
    batch: int | None = None,
    threads: int | None = None,
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    trust: bool = False,
    weights: str | None = None,
    profile: bool = False,
    cache: bool = True,
) -> Engine:
    """Open the file that `ref` names, `PATH` or `BACKEND:PATH`.

    A checkpoint without a backend runs by our own kernels where there are a GPU and Triton, and by plain PyTorch
    elsewhere; both compute in f32, and `engine.info` says which it is.

    res, batch: the sizes that frames will have; None leaves what the file leaves open. threads: on the CPU;
    None leaves it to the runtime, within the quota of a container.
    contract: the input contract; it overrides a checkpoint's, and an exported file must have been made for it.
    names, mean, std, color: of a checkpoint, an ONNX file or a plan that doesn't say it: a text file with one class
    a line, and its colour if you like; the input contract, where `contract` names none that fits. `info.assumed` lists
    what nobody said. trust: load a plan without a sidecar; TensorRT runs whatever is in it.
    weights: of a checkpoint with several sets, as of `load_checkpoint`.
    profile: prepare for `Engine.profile`, which gives the time of each layer; it makes the engine slower.
    cache: start with what an earlier start compiled, and keep that in the user's cache folder (engines/kept.py).

    Raises UsageError for an unknown backend, and for sizes or a contract that the file was not made for,
    EngineUnavailable if this machine can't run it, and what the readers raise: ArtifactError, CheckpointError.
    """
    return open_as(
        ref, Hints.of(contract, names, mean, std, color, trust, weights), res, batch, threads, profile, cache
    )


def open_as(
    ref: str | Path,
    hints: Hints,
    res: str | Res | None,
    batch: int | None,
    threads: int | None,
    profile: bool,
    cache: bool,
) -> Engine:
    """`open_engine`, once the file of names is read."""
    backend, path = backend_and_path(ref)
    threads = quota() if threads is None else threads
    h, w = (None, None) if res is None else Res.of(res)
    return backend.open(Request(path, path != Path(ref), (batch, h, w), threads, hints, profile, cache))


def backend_and_path(ref: str | Path) -> tuple[Backend, Path]:
    """`openvino:cgnet.onnx` -> (that of OpenVINO, cgnet.onnx); without a prefix the suffix decides."""
    if match := re.fullmatch(r"([\w-]+):(.+)", str(ref)):
        name, path = match[1], Path(match[2])
        if name not in BY_NAME:
            raise UsageError(f"{ref}: no backend is called {name!r}; {_nearest(name, BY_NAME)}")
        return BY_NAME[name], path
    path = Path(ref)
    suffix = path.suffix.lower()
    if suffix not in BY_SUFFIX:
        raise UsageError(
            f"{ref}: cannot infer a backend from the suffix {suffix!r}; {_nearest(suffix, BY_SUFFIX)} "
            f"Or name one: {', '.join(f'{name}:{ref}' for name in ('torch', 'ort'))}, ..."
        )
    return BY_SUFFIX[suffix], path


def _nearest(unknown: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(unknown, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}."
