"""The row that mmsegmentation prints for a trained network."""

from __future__ import annotations

import torch

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.memory import peak_mib
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.loop import TrainingJob, TrainingResult
from cgnet_deploy.train.provenance import device_name

HEADINGS = (
    "Method",
    "Backbone",
    "Crop",
    "Schedule",
    "Mem (MiB)",
    "Train (img/s)",
    "Device",
    "mIoU (%)",
    "mIoU ms+flip (%)",
)


def peak_memory_mib(device: torch.device) -> float:
    """Of the GPU's memory, or of this process's on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_mib()


def summary(job: TrainingJob, result: TrainingResult, final: Confusion, multi_scale: bool) -> str:
    """A Markdown table of one row. final: of the last validation. multi_scale: measure ms+flip here, on val."""
    recipe = job.recipe
    memory = peak_memory_mib(job.device)
    several = "-"
    if multi_scale:
        val = open_dataset(job.data, "val")
        several = f"{100 * confusion_of(result.averaged, val, recipe.input, ms_flip=True).miou:.2f}"
    schedule = f"{recipe.schedule.label} {result.steps}"
    row = (
        "CGNet",
        result.spec.name,
        str(recipe.augment.crop),
        schedule,
        f"{memory:.0f}",
        f"{result.img_per_s:.1f}",
        device_name(job.device),
        f"{100 * final.miou:.2f}",
        several,
    )
    rule = tuple("-" * len(heading) for heading in HEADINGS)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEADINGS, rule, row))
