"""The teachers of --teacher: trained networks whose view of each picture is learned beside its labels.

Each sees the picture through its own input contract, as it is and mirrored; the views of all of them are averaged as
probabilities. Stored in the run's folder, so that a run that goes on reads what it began with.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.data.dataset import Dataset, fit_frame
from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.files import replacing
from cgnet_deploy.model import CGNet, without_tiny
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.progress import track
from cgnet_deploy.train.initial import matches
from cgnet_deploy.train.softlabels import SoftLabels

log = logging.getLogger(__name__)

SOFT_LABELS = "teacher.npy"
SCORES_PX = 8  # of the input a score stands for
LEAST = -1e4  # log-probability; f16 ends at -65504


@dataclass(frozen=True, slots=True)
class Teacher:
    """order: for each class of the data set, the teacher's."""

    checkpoint: Checkpoint
    order: tuple[int, ...]

    @classmethod
    def read(cls, path: Path, names: Sequence[str]) -> Teacher:
        """names: the classes of the data set. Raises CheckpointError, or UsageError for other classes."""
        checkpoint = load_checkpoint(path)
        theirs = checkpoint.spec.class_names
        rows = matches(names, theirs)
        if len(theirs) != len(names) or len(rows) != len(names):
            lacking = [name for i, name in enumerate(names) if i not in rows]
            which = f"it has no {lacking[0]!r}" if lacking else f"it has {theirs[len(names)]!r} too"
            raise UsageError(
                f"{path} can't teach: it has {len(theirs)} classes, the data set has {len(names)}, and they must be "
                f"the same; {which}"
            )
        return cls(checkpoint, tuple(rows[i] for i in range(len(names))))


def write_soft_labels(
    teachers: Sequence[Teacher], dataset: Dataset, temperature: float, path: Path, device: torch.device
) -> None:
    """Write what `teachers` see in each picture to `path`. Raises CgnetError if that is not a finite number."""
    res = teachers[0].checkpoint.spec.input.res
    height, width = (-(-side // SCORES_PX) for side in res)
    shape = (len(dataset), len(dataset.table.names), height, width)
    models = [without_tiny(teacher.checkpoint.model).to(device).eval() for teacher in teachers]
    with replacing(path) as temporary, temporary.open("wb") as file, torch.inference_mode():
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)  # written one by one: a full disk is an error, not a SIGBUS
        for i in track(range(len(dataset)), len(dataset), "asking the teacher"):
            frame = dataset.frame(i)
            seen = []
            for teacher, model in zip(teachers, models, strict=True):
                for view in _views(teacher, model, frame):
                    if not view.isfinite().all():
                        raise CgnetError(
                            f"{teacher.checkpoint.path} gives scores that are not finite numbers on picture "
                            f"{dataset.identifier(i)}: it can't teach"
                        )
                    scaled = F.interpolate(view, (height, width), mode="bilinear", align_corners=False)
                    seen.append((scaled / temperature).log_softmax(1))
            mean = torch.logsumexp(torch.cat(seen), 0) - np.log(len(seen))
            file.write(mean.clamp(min=LEAST).half().cpu().numpy().tobytes())


def read_soft_labels(path: Path, dataset: Dataset) -> SoftLabels:
    """Raises UsageError if there are none, or those of another data set."""
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path}, which the teacher's labels are kept in, can't be read: {error}") from error
    wanted = len(dataset), len(dataset.table.names)
    if maps.ndim != 4 or maps.shape[:2] != wanted or maps.dtype != np.float16:
        raise UsageError(
            f"{path} holds {maps.dtype} of {maps.shape}, wanted float16 of {wanted[0]} pictures and {wanted[1]} "
            "classes: it is of another run"
        )
    return SoftLabels(maps)


def _views(teacher: Teacher, model: CGNet, frame: U8) -> list[Tensor]:
    """(1, K, h/8, w/8) scores of the picture and of its mirror image, both the right way round."""
    spec = teacher.checkpoint.spec.input
    device = next(model.parameters()).device
    images = torch.from_numpy(to_tensor(fit_frame(frame, spec.res)[None], spec)).to(device)
    scores = model.scores(torch.cat([images, images.flip(3)]))[:, list(teacher.order)]
    return [scores[:1], scores[1:].flip(3)]
