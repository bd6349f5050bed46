"""What a checkpoint records about how it was made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cgnet_deploy import __version__
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.formats import FORMATS
from cgnet_deploy.files import sha256_of
from cgnet_deploy.train.recipes import RECIPES, Recipe

MAX_CHARS = 250  # of a note in a checkpoint


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"


def changed(recipe: Recipe) -> str:
    """What `--set`, `--epochs` and `--iterations` changed of the recipe of that name: leaves only, dotted."""
    written, now = _leaves(asdict(RECIPES[recipe.name])), _leaves(asdict(recipe))
    text = ", ".join(f"{key}={value}" for key, value in now.items() if value != written.get(key))
    return (text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 4]} ...") or "nothing"


def _leaves(part: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in part.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{path}{name}.")
        else:
            leaves[path + name] = value
    return leaves


def _licence(dataset: Dataset) -> str:
    name, _, _ = dataset.name.partition(":")  # scenes:7
    return next((format.licence for format in FORMATS if format.name == name), "see the data set's own licence")


def provenance(
    recipe: Recipe, dataset: Dataset, device: torch.device, init: Path | None, step: int, steps: int, miou: float | None
) -> dict[str, str]:
    """init: the checkpoint that training started from. miou: on val, 0 to 1; None if that wasn't measured."""
    start = "fresh weights" if init is None else f"{init.name}, sha256 {sha256_of(init)[:16]}"
    return {
        "data": f"{dataset.name}, {recipe.split}, {len(dataset)} images",
        "data_note": _licence(dataset),
        "recipe": recipe.name,
        "changed": changed(recipe),
        "started_from": start,
        "seed": str(recipe.seed),
        "step": f"{step} of {steps}",
        "val_miou": "not measured" if miou is None else f"{miou:.4f}",
        "trained_on": device_name(device),
        "made_with": f"cgnet-deploy {__version__}, torch {torch.__version__}",
    }
