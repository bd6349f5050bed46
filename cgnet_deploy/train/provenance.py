"""What a checkpoint records about how it was made."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from cgnet_deploy import __version__
from cgnet_deploy.checkpoint.container import MAX_NOTE_CHARS
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.formats import FORMATS
from cgnet_deploy.files import sha256_of
from cgnet_deploy.train.overrides import settings_of
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.state import NO_TEACHER, RunFile

MAX_CHARS = 250  # of a note in a checkpoint


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"


def changed(recipe: Recipe) -> str:
    """What the run's recipe changed of the one of that name in the table."""
    text = ", ".join(settings_of(recipe))
    return (text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 4]} ...") or "nothing"


def started_from(init: Path | None) -> str:
    return "fresh weights" if init is None else f"{init.name}, sha256 {sha256_of(init)[:16]}"


def taught_by(teachers: Sequence[Checkpoint]) -> str:
    return named(teachers) or NO_TEACHER


def named(checkpoints: Sequence[Checkpoint]) -> str:
    return _note(", ".join(f"{one.path.name}, sha256 {one.sha256[:16]}" for one in checkpoints))


def origins(checkpoints: Sequence[Checkpoint]) -> str:
    """What they were trained on from; those that don't say are named themselves."""
    each = (one.provenance.get("started_from") or named([one]) for one in checkpoints)
    return _note("; ".join(dict.fromkeys(origin for origins in each for origin in origins.split("; "))))


def _note(text: str) -> str:
    """Cut to what is read again: a longer one would be passed over."""
    return text if len(text) <= MAX_NOTE_CHARS else f"{text[: MAX_NOTE_CHARS - 3]}..."


def _licence(dataset: Dataset) -> str:
    name = dataset.name.removeprefix("YAML on ").partition(":")[0]  # scenes:7; YAML on CamVid, whose pictures they are
    return next((format.licence for format in FORMATS if format.name == name), "see the data set's own licence")


def provenance(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    run: RunFile,
    step: int,
    steps: int | None,
    miou: float | None,
) -> dict[str, str]:
    """steps: None if not fixed yet. miou: on val, or what was held out, 0 to 1; None if that wasn't measured."""
    held_out = f" without {run.holdout}, which is validated on" if run.holdout else ""
    return {
        "data": f"{dataset.name}, {recipe.split}{held_out}, {len(dataset)} images",
        "data_note": _licence(dataset),
        "recipe": recipe.name,
        "changed": changed(recipe),
        "started_from": run.started_from,
        "teacher": run.teacher,
        "seed": str(recipe.seed),
        "step": f"{step} of {steps or 'a length in minutes'}",
        "val_miou": "not measured" if miou is None else f"{miou:.4f}",
        "trained_on": device_name(device),
        "made_with": f"cgnet-deploy {__version__}, torch {torch.__version__}",
    }
