"""The row that mmsegmentation prints for a trained network."""

from __future__ import annotations

import torch

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.memory import peak_mib
from cgnet_deploy.train.evaluate import confusion_of
from cgnet_deploy.train.job import TrainingJob, TrainingResult
from cgnet_deploy.train.provenance import device_name


def summary(job: TrainingJob, result: TrainingResult, final: Confusion, multi_scale: bool) -> str:
    """A Markdown table of one row. final: of the last validation. multi_scale: measure ms+flip here, on val."""
    recipe, gpu = job.recipe, job.device.type == "cuda"
    ms_flip = "-"
    if multi_scale:
        ms_flip = f"{100 * confusion_of(result.averaged, job.val, recipe.input, ms_flip=True).miou:.2f}"
    row = {
        "Method": "CGNet",
        "Backbone": result.spec.name,
        "Crop": str(recipe.augment.crop),
        "Schedule": f"{recipe.schedule.label} {result.steps}",
        "Mem (MiB)": f"{torch.cuda.max_memory_allocated(job.device) / 2**20 if gpu else peak_mib():.0f}",
        "Train (img/s)": f"{result.img_per_s:.1f}",
        "Device": device_name(job.device),
        "mIoU (%)": f"{100 * final.miou:.2f}",
        "mIoU ms+flip (%)": ms_flip,
    }
    lines = (row.keys(), ("-" * len(heading) for heading in row), row.values())
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
