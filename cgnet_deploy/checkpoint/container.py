"""A file of named tensors, read without trusting it: safetensors, torch's zip or torch's older pickle.

No code in the file runs: safetensors holds none, and torch's files are read with `weights_only=True`. Sizes are
bounded before torch sees a byte (unparsed.py).

mmengine saves its training log beside the weights, as objects of mmengine and numpy that `weights_only`
refuses. Those names (LOG_OBJECTS and no others) are read as `Inert`, which does nothing and keeps nothing, so
that a checkpoint straight from a training run loads; neither mmengine nor numpy is called.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cgnet_deploy.checkpoint.meta import Meta, read_meta
from cgnet_deploy.checkpoint.refused import Inert, advice, refused_name
from cgnet_deploy.checkpoint.selection import select
from cgnet_deploy.checkpoint.unparsed import read_unparsed, reason
from cgnet_deploy.checkpoint.wrappers import Weights, weight_sets
from cgnet_deploy.errors import CheckpointError, require

MAX_NOTES = 64
MAX_NOTE_CHARS = 256

LOG_OBJECTS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # how pickle reaches HistoryBuffer's methods
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    weights: the set of weights that was chosen, unchecked. notes: the short texts and numbers beside it, such as the
    epoch. metadata: of a safetensors file; empty for torch's files. meta: mmsegmentation's.
    """

    weights: Weights
    notes: Mapping[str, str]
    metadata: Mapping[str, str]
    sha256: str
    meta: Meta


def read_container(path: Path, weights: str | None = None) -> Contents:
    """Everything in the file at `path`. weights: which set, as `select` takes it.

    Raises CheckpointError unless all of it can be read safely.
    """
    data = read_unparsed(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if data[8:9] == b"{":
        chosen = select(path, weight_sets(_safetensors(path, data)), weights)
        return Contents(chosen, {}, _metadata(data), sha256, Meta())
    loaded = _torch(path, data)
    sets = weight_sets(loaded)
    if not sets:
        raise CheckpointError(f"{path} holds a {type(loaded).__name__}; wanted a dictionary of weights")
    chosen = select(path, sets, weights)
    return Contents(chosen, short_notes(chosen.beside), {}, sha256, read_meta(chosen.beside))


def short_notes(notes: Mapping[Any, Any]) -> dict[str, str]:
    """The printable texts and the integers among `notes`, up to a bound."""
    kept = {
        key: str(value)
        for key, value in notes.items()
        if isinstance(key, str) and isinstance(value, str | int) and not isinstance(value, bool)
        if all(len(text) <= MAX_NOTE_CHARS and text.isprintable() for text in (key, str(value)))
    }
    return dict(list(kept.items())[:MAX_NOTES])


def _torch(path: Path, data: bytes) -> Any:
    inert: list[Any] = [(Inert, name) for name in LOG_OBJECTS]
    try:
        with torch.serialization.safe_globals(inert), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of an odd pickle before it refuses it
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes make the unpickler raise any exception
        if refused := refused_name(error):
            raise CheckpointError(
                f"{path} would build objects of {refused}, which can run code, so it was not loaded; if you "
                f"trust it, keep only its weights: {advice(data, inert)}"
            ) from error
        raise CheckpointError(f"{path} is damaged, cut short or not a checkpoint: {reason(error)}") from error


def _safetensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    safetensors = require("safetensors.torch", extra="export")
    try:
        tensors: dict[str, torch.Tensor] = safetensors.load(data)
    except Exception as error:  # SafetensorError, or any error of torch's about an odd dtype
        raise CheckpointError(f"{path} is damaged, cut short or not a checkpoint: {reason(error)}") from error
    return tensors


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a file that safetensors has accepted: its header is complete and is JSON."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, str] = header.get("__metadata__") or {}
    return metadata
