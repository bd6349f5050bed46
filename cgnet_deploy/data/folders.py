"""Two folders, one of pictures and one of masks of the same names, as mmsegmentation and others use them.

img_dir/SPLIT with ann_dir/SPLIT, or images/SPLIT with masks/SPLIT (labels, annotations); or the same without SPLIT.
Neither names the classes: a description (description.py) in the folder does.
"""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.data.classes import NamesMissing
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.images import images_in
from cgnet_deploy.data.pairing import joined, pair_up, share, split_folders
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir

LAYOUTS = (("img_dir", "ann_dir"), ("images", "masks"), ("images", "labels"), ("images", "annotations"))


def recognises(where: str) -> bool:
    return _parts(Path(where)) is not None


def splits(where: str) -> tuple[str, ...]:
    pictures, _ = _found(where)
    return tuple(split_folders(pictures)) or ("train", "val")


def load(where: str, split: str) -> FileDataset:
    """Raises DataError: what is wrong with the pairs, else that nothing names the classes."""
    found = pairs(where, split)
    raise NamesMissing(
        f"{where} holds {len(found)} pictures with masks for {split}, but nothing that names its classes; "
        f"write {where}/data.yaml with a line such as names: [background, road]"
    )


def pairs(where: str, split: str) -> Pairs:
    return joined(split, lambda part: _pairs(where, part))


def _pairs(where: str, split: str) -> Pairs:
    pictures, masks = _found(where)
    by_split = split_folders(pictures)
    if not by_split:
        return share(pair_up(images_in(pictures), masks), split)
    if split not in by_split:
        raise DataError(f"{pictures} has no folder {split}; there are {', '.join(sorted(by_split))}")
    folder = masks / by_split[split].name
    if not is_dir(folder):
        raise DataError(f"{folder} is missing: the masks of {by_split[split]}")
    return pair_up(images_in(by_split[split]), folder)


def _parts(folder: Path) -> tuple[Path, Path] | None:
    return next(((folder / a, folder / b) for a, b in LAYOUTS if is_dir(folder / a) and is_dir(folder / b)), None)


def _found(where: str) -> tuple[Path, Path]:
    if (parts := _parts(Path(where))) is None:
        raise DataError(
            f"{where} holds no folder of pictures with one of masks; wanted img_dir and ann_dir, or images and masks"
        )
    return parts
