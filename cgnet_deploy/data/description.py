"""A description in YAML, as Ultralytics' semantic segmentation data sets use it: a file, or data.yaml in a folder.

path: DIR                       the data set, by default the folder of the description
train: images/train             folder, list of folders, or text file of pictures; val and test the same;
                                without train and val, the layout of DIR is recognised as that of any other data set
masks_dir: masks                a mask is the picture's path with `images` replaced by this
names: {0: road, 1: vehicle}    or a list
label_mapping: {7: 0, -1: ignore_label}    stored value to class; other values stay what they are

Ours, all optional:
palette: [[128, 64, 128], ...]  a colour per class, R, G, B; also decodes RGB masks
ignore: 255                     stored value, or a list, of ignored pixels (255 always is one)
values: {0: road, 7: road, 9: ignore, "128,64,128": vehicle}    stored value or R,G,B to class; no other occurs
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cgnet_deploy.contracts import IGNORE
from cgnet_deploy.data.classes import Classes, own_classes, pack
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.listed import listed_pairs
from cgnet_deploy.data.pairing import SPLITS, joined
from cgnet_deploy.data.yaml_reading import read_yaml
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file
from cgnet_deploy.spec import Rgb

if TYPE_CHECKING:
    from cgnet_deploy.data.formats import Layout

log = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml")
FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")  # in the folder of a data set
OURS = ("palette", "ignore", "values")
ULTRALYTICS = ("path", *SPLITS, "minival", "masks_dir", "names", "nc", "channels", "label_mapping", "download")


@dataclass(frozen=True, slots=True)
class Description:
    """root: the folder of the data set. entries: what the file says, checked where it is used."""

    file: Path
    root: Path
    entries: Mapping[str, Any]

    @property
    def lists_pictures(self) -> bool:
        return any(split in self.entries for split in SPLITS)


def recognises(where: str) -> bool:
    return _file(where) is not None


def splits(where: str) -> tuple[str, ...]:
    description = read(where)
    if description.lists_pictures:
        return tuple(split for split in SPLITS if description.entries.get(split))
    return _layout(description)[1].splits(str(description.root))


def load(where: str, split: str) -> FileDataset:
    """Raises DataError naming the file and what is wrong in it."""
    description = read(where)
    known = classes(description)
    if description.lists_pictures:
        return FileDataset("YAML", known, joined(split, lambda part: _pairs(description, part)))
    name, layout = _layout(description)
    return FileDataset(f"YAML on {name}", known, layout.pairs(str(description.root), split))


def read(where: str) -> Description:
    if (file := _file(where)) is None:
        raise DataError(f"{where} is no description of a data set (YAML)")
    entries = read_yaml(file)
    if unknown := [key for key in entries if key not in OURS + ULTRALYTICS]:
        log.warning("%s: the key %r is not known here and changes nothing", file, unknown[0])
    return Description(file, _root(file, entries), entries)


def _file(where: str) -> Path | None:
    path = Path(where)
    if path.suffix.lower() in SUFFIXES and is_file(path):
        return path
    return next((file for name in FILES if is_file(file := path / name)), None)


def _root(file: Path, entries: Mapping[str, Any]) -> Path:
    """A relative path is looked for from the file's folder, then from here; or it is the folder's own name."""
    named = entries.get("path", ".")
    if not isinstance(named, str):
        raise DataError(f"{file}: path is {named!r}, not the path of a folder")
    folder = file.parent
    if Path(named).name == folder.absolute().name and not is_dir(folder / named):
        return folder
    for root in (folder / named, Path(named)):
        if is_dir(root):
            return root
    raise DataError(f"{file}: path {named!r} is no folder, neither from {folder} nor from here")


def _pairs(description: Description, split: str) -> Pairs:
    if not description.entries.get(split):
        there = [name for name in SPLITS if description.entries.get(name)]
        raise DataError(f"{description.file} has no {split!r}; it lists {', '.join(there)}")
    masks = description.entries.get("masks_dir")
    if not isinstance(masks, str):
        raise DataError(
            f"{description.file}: masks_dir is missing, the name of the folder of masks (polygons are not read)"
            if masks is None
            else f"{description.file}: masks_dir is {masks!r}, not the name of a folder"
        )
    return listed_pairs(description.file, description.root, description.entries[split], masks)


def _layout(description: Description) -> tuple[str, Layout]:
    from cgnet_deploy.data.formats import FORMATS  # that table names this module

    for format in FORMATS:
        if format.is_layout and format.loader().recognises(str(description.root)):
            return format.name, cast("Layout", format.loader())
    raise DataError(
        f"{description.file} lists no train and val, and the layout of {description.root} is not known; "
        "wanted train: FOLDER, val: FOLDER and masks_dir: NAME"
    )


def classes(description: Description) -> Classes:
    file, entries = description.file, description.entries
    names = _names(file, entries.get("names"))
    if "nc" in entries and entries["nc"] != len(names):
        raise DataError(f"{file}: nc is {entries['nc']!r}, but {len(names)} classes have names")
    ignore = entries.get("ignore", [])
    ignored = ignore if isinstance(ignore, list) else [ignore]
    for value in ignored:
        _stored(file, "ignore", value)
    palette = _palette(file, entries["palette"], names) if "palette" in entries else None
    if "values" in entries and "label_mapping" in entries:
        raise DataError(f"{file} has both values and label_mapping; wanted one")
    values, colours = None, None
    if "label_mapping" in entries:
        values = dict.fromkeys([*ignored, IGNORE], IGNORE) | {value: value for value in range(len(names))}
        values |= _mapping(file, "label_mapping", entries["label_mapping"], names)[0]
    if "values" in entries:
        listed, in_colour = _mapping(file, "values", entries["values"], names)
        values = dict.fromkeys([*ignored, IGNORE], IGNORE) | listed if listed else None
        colours = in_colour or None
    return own_classes(file, names, palette, values=values, colours=colours, ignored=ignored)


def _names(file: Path, names: Any) -> list[Any]:
    """A list, or the list that a mapping of 0 to K-1 stands for."""
    if isinstance(names, list):
        return names
    if not isinstance(names, dict):
        raise DataError(f"{file}: names is missing or no list; wanted a line such as names: [background, road]")
    if sorted(names, key=str) != sorted(range(len(names)), key=str):
        raise DataError(
            f"{file}: the numbers of names are not 0 to {len(names) - 1}; map other stored values with values"
        )
    return [names[number] for number in range(len(names))]


def _palette(file: Path, palette: Any, names: list[Any]) -> list[Rgb]:
    colours = [palette.get(name) for name in names] if isinstance(palette, dict) else palette
    if not isinstance(colours, list):
        raise DataError(f"{file}: palette is not a list of colours, such as [[128, 64, 128], [0, 0, 142]]")
    found = [colour(value) for value in colours]
    if None in found:
        raise DataError(
            f"{file}: {colours[found.index(None)]!r} in palette is no colour; wanted [128, 64, 128] or '#804080'"
        )
    return [one for one in found if one is not None]


def colour(value: Any) -> Rgb | None:
    """[128, 64, 128], "128,64,128" or "#804080" -> R, G, B; None for anything else."""
    if isinstance(value, str) and (match := re.fullmatch(r"#([0-9a-fA-F]{6})", value)):
        number = int(match[1], 16)
        return number >> 16, number >> 8 & 255, number & 255
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}([ ,]+\d{1,3}){2}", value):
        value = [int(part) for part in re.split(r"[ ,]+", value)]
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value):
        return value[0], value[1], value[2]
    return None


def _mapping(file: Path, key: str, mapping: Any, names: list[Any]) -> tuple[dict[int, int], dict[int, int]]:
    """(stored value -> label, 0xRRGGBB -> label)."""
    if not isinstance(mapping, dict) or not mapping:
        raise DataError(f"{file}: {key} is no mapping, such as {{0: {names[0]}, 7: ignore}}")
    values: dict[int, int] = {}
    colours: dict[int, int] = {}
    for stored, meaning in mapping.items():
        label = _label(file, key, meaning, names)
        if (rgb := colour(stored)) is not None:
            colours[pack(rgb)] = label
        else:
            value = _stored(file, key, stored)
            values[value] = label
    return values, colours


def _stored(file: Path, key: str, value: Any) -> int:
    if type(value) is not int or not -1 <= value <= 65535:
        raise DataError(
            f"{file}: {value!r} in {key} is neither a stored value, 0 to 65535, nor a colour such as '128,64,128'"
        )
    return IGNORE if value == -1 else value  # Cityscapes' id -1 is stored as 255


def _label(file: Path, key: str, meaning: Any, names: list[Any]) -> int:
    if type(meaning) is int and 0 <= meaning < len(names):
        return meaning
    if meaning in names:
        return names.index(meaning)
    if meaning in ("ignore", "ignore_label") or (type(meaning) is int and meaning == IGNORE):
        return IGNORE
    raise DataError(
        f"{file}: {meaning!r} in {key} is no class; wanted one of {', '.join(map(str, names[:20]))}, or ignore"
    )
