"""PASCAL VOC, and what CVAT ("Segmentation mask 1.1") and labelme export in its layout.

JPEGImages/NAME.*                     the pictures
SegmentationClass/NAME.png            the masks: indices of a palette, or CVAT's colours
                                      (SegmentationClassPNG in exports of older labelme, where the former holds arrays)
ImageSets/Segmentation/SPLIT.txt      NAME a line; without them every mask counts, and a share is val
labelmap.txt | class_names.txt        CVAT's names and colours | labelme's names, in the order of the indices
"""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.data.classes import IGNORED_NAMES, Classes, NamesMissing, by_colour, own_classes, voc_palette
from cgnet_deploy.data.dataset import FileDataset, Pairs
from cgnet_deploy.data.images import IMAGE_SUFFIXES, images_in, is_system
from cgnet_deploy.data.pairing import SHARED, SPLITS, joined, lines_of, mask_of, named, share, with_suffixes
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file
from cgnet_deploy.spec import Rgb

MASKS = ("SegmentationClassPNG", "SegmentationClass")
BORDER = 0xE0E0C0  # the colour that VOC gives to index 255, the pixels around objects


def recognises(where: str) -> bool:
    return any(is_dir(Path(where) / masks) for masks in MASKS)


def splits(where: str) -> tuple[str, ...]:
    listed = _lists(Path(where))
    return tuple(split for split in SPLITS if split in listed) or ("train", "val")


def load(where: str, split: str) -> FileDataset:
    """Raises DataError naming what is missing."""
    notes = () if any(name in _lists(Path(where)) for name in SPLITS) else (SHARED,)
    return FileDataset("VOC", classes(Path(where)), pairs(where, split), notes)


def pairs(where: str, split: str) -> Pairs:
    return joined(split, lambda part: _pairs(Path(where), part))


def _pairs(folder: Path, split: str) -> Pairs:
    pictures, masks = folder / "JPEGImages", _masks(folder)
    if not is_dir(pictures):
        raise DataError(f"{pictures} is missing: export the pictures too (CVAT calls it 'Save images')")
    lists = _lists(folder)
    is_split = any(name in lists for name in SPLITS)
    if is_split and split not in lists:
        raise DataError(f"{folder} has no split {split!r}: ImageSets/Segmentation lists {', '.join(lists)}")
    if is_split:
        names = _names(lists[split])
    elif lists:
        names = sorted({name for path in lists.values() for name in _names(path)})
    else:
        names = [path.stem for path in images_in(masks)]
    found = tuple(
        (named(pictures, name), mask_of(pictures / name, with_suffixes(masks / name, IMAGE_SUFFIXES), masks))
        for name in names
    )
    return found if is_split else share(found, split)


def _masks(folder: Path) -> Path:
    return next(folder / name for name in MASKS if is_dir(folder / name))


def _lists(folder: Path) -> dict[str, Path]:
    """ImageSets/Segmentation/NAME.txt by split, or by its own name (default, trainval) where it is none."""
    called = {name: split for split, names in SPLITS.items() for name in names}
    listed = (folder / "ImageSets" / "Segmentation").glob("*.txt")
    files = sorted(path for path in listed if not is_system(path.name))
    return {called.get(path.stem.lower(), path.stem): path for path in files if not path.name.startswith(".")}


def _names(path: Path) -> list[str]:
    names = lines_of(path)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{path}: {name[:80]!r} leads out of the data set; wanted names of pictures")
    if len(set(names)) < len(names):
        raise DataError(f"{path} lists {len(names)} pictures, of which {len(set(names))} are different")
    return names


def classes(folder: Path) -> Classes:
    if is_file(path := folder / "labelmap.txt"):
        return by_colour(path, [_entry(path, line) for line in lines_of(path) if not line.startswith("#")])
    if is_file(path := folder / "class_names.txt"):
        names = lines_of(path)
        if names[0].lower() in IGNORED_NAMES:  # labelme's index -1, stored as 255
            names = names[1:]
        palette = voc_palette(len(names))
        known = own_classes(path, names, palette)
        return Classes(known.table, known.values, (*known.colours, (BORDER, known.table.ignore_label)))
    raise NamesMissing(
        f"{folder} names no classes: labelmap.txt (CVAT) and class_names.txt (labelme) are missing; "
        f"write {folder}/data.yaml with a line such as names: [background, road]"
    )


def _entry(path: Path, line: str) -> tuple[str, Rgb]:
    """`road:128,64,128::` -> its name and colour."""
    name, _, rest = line.partition(":")
    try:
        red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
    except ValueError:
        raise DataError(f"{path}: {line[:80]!r} is not name:R,G,B::") from None
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise DataError(f"{path}: a colour of {line[:80]!r} is not 0 to 255")
    return name, (red, green, blue)
