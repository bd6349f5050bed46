"""CamVid in the SegNet layout: DIR/train with DIR/trainannot, and the same for val and test."""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.dataset import FileDataset, plain_table
from cgnet_deploy.data.images import images_in
from cgnet_deploy.errors import DataError


def recognises(where: str) -> bool:
    folder = Path(where)
    return folder.is_dir() and any(entry.is_dir() and entry.name.endswith("annot") for entry in folder.iterdir())


def load(where: str, split: str) -> FileDataset:
    """Pairs each image with the PNG of the same name. Raises DataError naming what is missing or left over."""
    parts = ("train", "val") if split == "trainval" else (split,)
    pairs = tuple(pair for part in parts for pair in _pairs(Path(where), part))
    return FileDataset("CamVid", CAMVID_CLASSES, pairs, plain_table(CAMVID_CLASSES))


def _pairs(folder: Path, split: str) -> list[tuple[Path, Path]]:
    images, annotations = folder / split, folder / f"{split}annot"
    for part in (images, annotations):
        if not part.is_dir():
            raise DataError(f"{part} is missing: CamVid's split {split!r} is the folders {split} and {split}annot")
    pairs = [(image, annotations / f"{image.stem}.png") for image in images_in(images)]
    for image, labels in pairs:
        if not labels.is_file():
            raise DataError(f"{image} has no labels: {labels} is missing")
    known = {labels for _, labels in pairs}
    if len(known) < len(pairs):
        raise DataError(f"{images} holds {len(pairs)} pictures with {len(known)} names: two formats of one picture?")
    if left_over := sorted(set(annotations.glob("*.png")) - known):
        raise DataError(f"{left_over[0]} has no image in {images} ({len(pairs)} images, more label maps)")
    return pairs
