"""The pictures that a description lists, and their masks: all of them inside the folder of the data set."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from cgnet_deploy.data.dataset import Pairs
from cgnet_deploy.data.images import IMAGE_SUFFIXES
from cgnet_deploy.data.pairing import lines_of, mask_of, pictures_below, with_suffixes
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import exists, is_dir, is_file

PICTURES = "images"  # the part of a picture's path that masks_dir replaces


def listed_pairs(file: Path, root: Path, entry: Any, masks_dir: str) -> Pairs:
    """entry: a folder, a text file of pictures, or a list of these. file: the description, for errors."""
    items = entry if isinstance(entry, list) else [entry]
    pictures = [picture for item in items for picture in _pictures(file, root, item)]
    if (most := Counter(pictures).most_common(1)) and most[0][1] > 1:
        raise DataError(f"{file}: {most[0][0]} is listed twice")
    masks = _inside(file, root, masks_dir)
    return tuple((picture, _mask(file, root, picture, masks)) for picture in pictures)


def _pictures(file: Path, root: Path, item: Any) -> list[Path]:
    path = _inside(file, root, _without_step(root, item))
    if is_dir(path):
        return pictures_below(path)
    if path.suffix.lower() != ".txt" or not is_file(path):
        raise DataError(f"{file}: {path} is neither a folder nor a text file of pictures")
    lines = lines_of(path)
    # Ultralytics: ./a.png is beside the list, a.png is in the data set
    found = [_inside(path, root, str(path.parent / line) if line.startswith("./") else line) for line in lines]
    if missing := [one for one in found if not is_file(one)]:
        raise DataError(f"{path}: {missing[0]} is missing ({len(missing)} of {len(lines)} lines)")
    return found


def _without_step(root: Path, item: Any) -> Any:
    """Roboflow writes ../train/images of the folder train beside its data.yaml: Ultralytics drops that step too."""
    inside = item.removeprefix("../") if isinstance(item, str) else item
    return inside if inside != item and "\0" not in inside and exists(root / inside) else item


def _inside(file: Path, root: Path, item: Any) -> Path:
    """The path of an entry. A description of somebody else's reads nothing outside its data set."""
    if not isinstance(item, str) or not item or "\0" in item:
        raise DataError(f"{file}: {item!r} is no path")
    base = os.path.abspath(root)
    path = os.path.normpath(os.path.join(base, item))
    if os.path.commonpath([path, base]) != base:
        raise DataError(
            f"{file}: {item!r} leads out of the data set {root}; give in path a folder that holds all of it"
        )
    return Path(path)


def _mask(file: Path, root: Path, picture: Path, masks: Path) -> Path:
    parts = picture.relative_to(os.path.abspath(root)).parts
    if PICTURES not in parts[:-1]:
        raise DataError(
            f"{file}: {picture} is in no folder called {PICTURES}, which masks_dir could replace; "
            "leave out train, val and masks_dir to have the layout recognised"
        )
    place = len(parts) - 2 - parts[:-1][::-1].index(PICTURES)
    changed = Path(os.path.abspath(root), *parts[:place], masks.relative_to(os.path.abspath(root)), *parts[place + 1 :])
    return mask_of(picture, with_suffixes(changed.with_suffix(""), IMAGE_SUFFIXES), changed.parent)
