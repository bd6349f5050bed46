"""CamVid as its authors ship it: pictures NAME.png, masks NAME_L.png in colours, and label_colors.txt.

Pictures and masks are in two folders, such as 701_StillsRaw_full and LabeledApproved_full. A line of label_colors.txt
is R, G, B and a name; of the 32 names, Void is that of ignored pixels.
"""

from __future__ import annotations

import re
from pathlib import Path

from cgnet_deploy.data.classes import Classes, by_colour
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.images import entries, is_system, pictures_of
from cgnet_deploy.data.pairing import SHARED, joined, lines_of, pair_up, share
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file
from cgnet_deploy.spec import Rgb

COLOURS = "label_colors.txt"
SUFFIX = "_L"


def recognises(where: str) -> bool:
    return is_file(Path(where) / COLOURS)


def splits(where: str) -> tuple[str, ...]:
    return "train", "val"


def load(where: str, split: str) -> FileDataset:
    """Raises DataError naming what is missing or left over."""
    return FileDataset("CamVid in colours", classes(Path(where) / COLOURS), pairs(where, split), (SHARED,))


def pairs(where: str, split: str) -> Pairs:
    found = _pairs(Path(where))
    return joined(split, lambda part: share(found, part))


def _pairs(folder: Path) -> Pairs:
    pictures, masks = None, None
    for part in entries(folder):
        if is_dir(part) and not is_system(part.name) and (held := pictures_of(entries(part))):
            if all(path.stem.endswith(SUFFIX) for path in held):
                masks = part
            else:
                pictures = held
    if pictures is None or masks is None:
        lacking = "pictures" if pictures is None else f"masks NAME{SUFFIX}.png"
        raise DataError(
            f"{folder} holds no folder of {lacking}; wanted one of pictures and one of masks beside {COLOURS}"
        )
    return pair_up(pictures, masks, SUFFIX)


def classes(path: Path) -> Classes:
    named: list[tuple[str, Rgb]] = []
    for line in lines_of(path):
        match = re.fullmatch(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*)", line)
        if not match or any(int(value) > 255 for value in match.groups()[:3]):
            raise DataError(f"{path}: {line[:80]!r} is not R G B and a class name")
        named.append((match[4], (int(match[1]), int(match[2]), int(match[3]))))
    return by_colour(path, named)
