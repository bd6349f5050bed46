"""The files of a run, each written atomically.

run.json     the data, the recipe as its name and what differs from the table, what training started from, its teacher
teacher.npy  what a teacher sees in each picture
last.pt      everything else that --resume needs: weights, averages, optimiser, step, length, best mIoU so far
last.pth     the averaged weights, as a checkpoint of ours
best.pth     those with the best validation mIoU
log.jsonl    one line an interval, one a validation
curves.png   loss, learning rate and mIoU over the steps
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cgnet_deploy import codec
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.train.length import Length
from cgnet_deploy.train.overrides import overridden, settings_of
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.recipes import RECIPES

RUN, STATE, LAST, BEST, LOG, CURVES = "run.json", "last.pt", "last.pth", "best.pth", "log.jsonl", "curves.png"
MAX_STATE_BYTES = 1 << 29
MAX_RUN_BYTES = 1 << 16
NO_TEACHER = "none"


@dataclass(frozen=True, slots=True)
class RunFile:
    """run.json. settings: of overrides.py, to the recipe of that name. started_from: as provenance says it.

    holdout: the names that are scored and not trained on, "" for none. teacher: as provenance says it, "none" without.
    """

    data: str
    recipe: str
    settings: tuple[str, ...]
    started_from: str
    holdout: str = ""
    teacher: str = NO_TEACHER

    def full_recipe(self) -> Recipe:
        """Raises UsageError for settings that no recipe has."""
        return overridden(RECIPES[self.recipe], self.settings)


def run_file(recipe: Recipe, data: str, started_from: str, holdout: str, teacher: str) -> RunFile:
    return RunFile(data, recipe.name, settings_of(recipe), started_from, holdout, teacher)


def save_run(folder: Path, run: RunFile) -> None:
    write_bytes(folder / RUN, json.dumps(codec.to_json(run), indent=2).encode() + b"\n")


def load_run(folder: Path) -> RunFile:
    """Raises UsageError if there is no run, CheckpointError if it can't be read."""
    path = folder / RUN
    if not path.is_file():
        raise UsageError(f"{path} is missing: there is no run to --resume in {folder}")
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            raise ValueError(f"it is larger than {MAX_RUN_BYTES} bytes")
        run = codec.loads(RunFile, path.read_bytes())
        if run.recipe not in RECIPES:
            raise ValueError(f"there is no recipe {run.recipe!r}")
        run.full_recipe()
    except (OSError, ValueError, UsageError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    return run


def described(recipe: Recipe) -> str:
    """The recipe as text, to compare a resumed run with the one that was stopped."""
    return json.dumps(asdict(recipe), sort_keys=True)


def save_state(folder: Path, recipe: Recipe, data: str, learner: dict[str, Any], length: Length, best: float) -> None:
    """Raises CgnetError if the disk is full; the previous state is kept."""
    buffer = io.BytesIO()
    lasting = {"steps": length.steps, "fall": length.fall, "top": length.top, "before_s": length.spent_s}
    content = {"recipe": described(recipe), "data": data, "best": best, "length": lasting, "learner": learner}
    torch.save(content, buffer)
    write_bytes(folder / STATE, buffer.getvalue())


def load_state(folder: Path, recipe: Recipe, data: str) -> tuple[dict[str, Any], Length, float]:
    """The learner's state, the run's length and the best mIoU so far.

    Raises CheckpointError, or UsageError for another run's.
    """
    path = folder / STATE
    if not path.is_file():
        raise UsageError(f"{path} is missing: there is no run to --resume in {folder}")
    if path.stat().st_size > MAX_STATE_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_STATE_BYTES} bytes: not a training state of ours")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved, trained_on, learner, best = state["recipe"], state["data"], state["learner"], float(state["best"])
        length = Length(recipe, **state["length"])
    except Exception as error:  # torch raises whatever its parser trips over
        raise CheckpointError(f"{path} can't be read as a training state ({type(error).__name__})") from error
    if (saved, trained_on) != (described(recipe), data):
        raise UsageError(f"{path} is of another run ({_difference(saved, recipe)}); use its settings or another --out")
    return learner, length, best


def _difference(saved: str, recipe: Recipe) -> str:
    """The first field that differs."""
    old, new = json.loads(saved), json.loads(described(recipe))
    for key in new:
        if old.get(key) != new[key]:
            return f"{key} was {old.get(key)}, is {new[key]}"
    return "another --data"
