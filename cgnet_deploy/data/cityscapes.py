"""Cityscapes as it is unpacked: leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_*.png.

`*_gtFine_labelTrainIds.png` is used where the official scripts have made it; otherwise `*_gtFine_labelIds.png`,
which comes with the data set, is mapped to train ids here.
"""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.contracts import CITYSCAPES_CLASSES
from cgnet_deploy.data.classes import Classes, plain
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.images import is_system
from cgnet_deploy.data.pairing import SPLITS, parts
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file

# Train id i is label id TRAINED[i]; of the 34 label ids, the other 15 are not scored.
TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LABEL_IDS = 34
LICENCE_PLATE = 255  # label id -1, stored in 8 bits


def recognises(where: str) -> bool:
    return is_dir(Path(where) / "leftImg8bit")


def splits(where: str) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if is_dir(Path(where) / "leftImg8bit" / split))


def load(where: str, split: str) -> FileDataset:
    """Raises DataError naming what is missing."""
    found = pairs(where, split)
    is_trained = found[0][1].name.endswith("labelTrainIds.png")
    return FileDataset("Cityscapes", plain(CITYSCAPES_CLASSES) if is_trained else _label_ids(), found)


def pairs(where: str, split: str) -> Pairs:
    folder = Path(where)
    images = [image for part in parts(split) for image in _images(folder, part)]
    kind = "labelTrainIds" if is_file(_labels(folder, images[0], "labelTrainIds")) else "labelIds"
    found = tuple((image, _labels(folder, image, kind)) for image in images)
    for image, labels in found:
        if not is_file(labels):
            raise DataError(f"{image} has no labels: {labels} is missing")
    return found


def _images(folder: Path, split: str) -> list[Path]:
    part = folder / "leftImg8bit" / split
    images = sorted(
        path
        for path in part.glob("*/*_leftImg8bit.png")
        if not is_system(path.name) and not is_system(path.parent.name)
    )
    if not images:
        raise DataError(f"{part} holds no CITY/*_leftImg8bit.png: is Cityscapes' split {split!r} unpacked?")
    return images


def _labels(folder: Path, image: Path, kind: str) -> Path:
    city = image.parent
    name = image.name.removesuffix("_leftImg8bit.png") + f"_gtFine_{kind}.png"
    return folder / "gtFine" / city.parent.name / city.name / name


def _label_ids() -> Classes:
    ignored = dict.fromkeys((*range(LABEL_IDS), LICENCE_PLATE), CITYSCAPES_CLASSES.ignore_label)
    trained = {label_id: train_id for train_id, label_id in enumerate(TRAINED)}
    return Classes(CITYSCAPES_CLASSES, tuple((ignored | trained).items()))
