"""The files of a run, each written atomically.

last.pt      everything that --resume needs: weights, averages, optimiser, step, best mIoU so far
last.pth     the averaged weights, as a checkpoint of ours
best.pth     those with the best validation mIoU
log.jsonl    one line an interval, one a validation
curves.png   loss, learning rate and mIoU over the steps
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.train.recipes import Recipe

STATE, LAST, BEST, LOG, CURVES = "last.pt", "last.pth", "best.pth", "log.jsonl", "curves.png"
MAX_STATE_BYTES = 1 << 29


def described(recipe: Recipe) -> str:
    """The recipe as text, to compare a resumed run with the one that was stopped."""
    return json.dumps(asdict(recipe), sort_keys=True)


def save_state(folder: Path, recipe: Recipe, data: str, learner: dict[str, Any], best: float) -> None:
    """Raises CgnetError if the disk is full; the previous state is kept."""
    buffer = io.BytesIO()
    torch.save({"recipe": described(recipe), "data": data, "best": best, "learner": learner}, buffer)
    write_bytes(folder / STATE, buffer.getvalue())


def load_state(folder: Path, recipe: Recipe, data: str) -> tuple[dict[str, Any], float]:
    """The learner's state and the best mIoU so far. Raises CheckpointError, or UsageError for another run's."""
    path = folder / STATE
    if not path.is_file():
        raise UsageError(f"{path} is missing: there is no run to --resume in {folder}")
    if path.stat().st_size > MAX_STATE_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_STATE_BYTES} bytes: not a training state of ours")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved, trained_on, learner, best = state["recipe"], state["data"], state["learner"], float(state["best"])
    except Exception as error:  # torch raises whatever its parser trips over
        raise CheckpointError(f"{path} can't be read as a training state ({type(error).__name__})") from error
    if (saved, trained_on) != (described(recipe), data):
        raise UsageError(f"{path} is of another run ({_difference(saved, recipe)}); use its settings or another --out")
    return learner, best


def _difference(saved: str, recipe: Recipe) -> str:
    """The first field that differs."""
    old, new = json.loads(saved), json.loads(described(recipe))
    for key in new:
        if old.get(key) != new[key]:
            return f"{key} was {old.get(key)}, is {new[key]}"
    return "another --data"
