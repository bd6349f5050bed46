"""CamVid in the SegNet layout: DIR/train with DIR/trainannot, and the same for val and test."""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.classes import plain
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.images import images_in
from cgnet_deploy.data.pairing import SPLITS, joined, pair_up
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir


def recognises(where: str) -> bool:
    return any(is_dir(Path(where) / f"{split}annot") for split in SPLITS)


def splits(where: str) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if is_dir(Path(where) / f"{split}annot"))


def load(where: str, split: str) -> FileDataset:
    """Raises DataError naming what is missing or left over."""
    return FileDataset("CamVid", plain(CAMVID_CLASSES), pairs(where, split))


def pairs(where: str, split: str) -> Pairs:
    return joined(split, lambda part: _pairs(Path(where), part))


def _pairs(folder: Path, split: str) -> Pairs:
    pictures, masks = folder / split, folder / f"{split}annot"
    for part in (pictures, masks):
        if not is_dir(part):
            raise DataError(f"{part} is missing: CamVid's split {split!r} is the folders {split} and {split}annot")
    return pair_up(images_in(pictures), masks)
