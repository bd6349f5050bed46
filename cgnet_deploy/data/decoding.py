"""What a mask stores to labels; and where it doesn't fit, one line with the likely mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cgnet_deploy.data.classes import Classes, pack, spelled, unpack
from cgnet_deploy.data.images import UPRIGHT, orientation
from cgnet_deploy.data.masks import Mask
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

Stored = npt.NDArray[np.generic]

NO_CLASS = -1  # in a table of labels: a stored value that must not occur
MANY = 32  # distinct strays; no annotation tool makes so many values or colours that are no class
NEAR = 40  # of a colour from the nearest class's, in grey levels: an edge blended a little, or a lossy file


def decode(mask: Mask, classes: Classes, path: Path, name: str) -> U8:
    """(H, W) u8 labels. DataError naming the file, what it holds and the likely mistake. name: of the data set."""
    table = classes.labels(mask.kind)
    if not table:
        raise DataError(f"{path} is an RGB mask{no_colours(mask, name)}")
    if mask.pixels.dtype == np.uint8:
        lookup = np.full(256, NO_CLASS, np.int16)
        for value, label in table.items():
            lookup[value & 255] = label
        labels = lookup[mask.pixels]
    else:
        keys = np.array(sorted(table), np.int32)
        meaning = np.array([table[key] for key in sorted(table)], np.int16)
        place = np.searchsorted(keys, mask.pixels).clip(max=len(keys) - 1)
        labels = np.where(keys[place] == mask.pixels, meaning[place], np.int16(NO_CLASS))
    if (stray := labels == NO_CLASS).any():
        raise DataError(f"{path} {strays(mask, stray, classes, name)}")
    return np.asarray(labels, np.uint8)


def strays(mask: Mask, stray: npt.NDArray[np.bool_], classes: Classes, name: str) -> str:
    """The most frequent of what is no class, its share, what was wanted, and the likely mistake."""
    found, counts = np.unique(mask.pixels[stray], return_counts=True)
    value, share = int(found[counts.argmax()]), float(counts.max()) / mask.pixels.size
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    names = classes.table.names
    if mask.kind == "colours":
        colour = spelled(unpack(value))
        return (
            f"holds the colour {colour} ({percent(share)} of its pixels){others}, which {name} doesn't have"
            f"{off_colours(found, value, classes)}"
        )
    ignored = sorted(stored for stored, label in classes.values if label == classes.table.ignore_label)
    wanted = ", ".join(map(str, spans([stored for stored, label in classes.values if label < len(names)])))
    return (
        f"holds the label {value} ({percent(share)} of its pixels){others}, which {name} doesn't have: "
        f"wanted {wanted}, or {', '.join(spans(ignored)) or 'none'} for ignored pixels"
        f"{off_values(mask, found, classes)}"
    )


def off_values(mask: Mask, found: Stored, classes: Classes) -> str:
    present = set(np.unique(mask.pixels).tolist())
    count = len(classes.table.names)
    if present <= {0, 255}:
        return f"; is this a binary mask? Then say in a description: values: {{0: {classes.table.names[0]}, 255: ...}}"
    if len(found) > MANY:
        return "; so many values come from a lossy format, or from resizing a mask with interpolation"
    if found.tolist() == [count] and 0 not in present:
        return "; do the names start at value 1? Then say in a description which value is which class: values"
    return "; does the data set have more classes than names? Say in a description which value is which class: values"


def off_colours(found: Stored, value: int, classes: Classes) -> str:
    table = dict(classes.colours)
    red, green, blue = unpack(value)
    if (swapped := table.get(pack((blue, green, red)))) is not None and swapped < len(classes.table.names):
        return f"; with R and B swapped it is {classes.table.names[swapped]!r}: was BGR saved as RGB?"
    near = min(table, key=lambda colour: distance(colour, value))
    if len(found) > MANY or distance(near, value) <= NEAR:
        known = classes.table.names[table[near]] if table[near] < len(classes.table.names) else "ignored"
        return (
            f"; the nearest is {spelled(unpack(near))} ({known}): anti-aliased edges, or a mask that was resized or "
            "saved in a lossy format"
        )
    return "; say in a description which class it is: values"


def distance(one: int, other: int) -> int:
    return max(abs(a - b) for a, b in zip(unpack(one), unpack(other), strict=True))


def no_colours(mask: Mask, name: str) -> str:
    colours = [unpack(int(colour)) for colour in np.unique(mask.pixels)[: MANY + 1]]
    if all(red == green == blue for red, green, blue in colours):
        return ": it repeats one grey channel three times; save that channel alone"
    return f", and {name} has no colours: say in a description which colour is which class (palette or values)"


def other_size(mask: Res, picture: Res, path: Path) -> str:
    """Why a mask and its picture may differ in size."""
    if orientation(path) != UPRIGHT and mask == (picture.width, picture.height):
        return "; the picture is turned by its EXIF orientation, its mask is not: remove the tag, or turn the mask"
    if mask == (picture.width, picture.height):
        return "; are height and width swapped?"
    if mask.height * picture.width == mask.width * picture.height:
        return "; export masks at the size of the pictures"
    return "; does it belong to another picture?"


def spans(values: list[int]) -> list[str]:
    """[0, 1, 2, 7] -> ["0 to 2", "7"]."""
    groups: list[list[int]] = []
    for value in sorted(values):
        if groups and value == groups[-1][-1] + 1:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [f"{group[0]} to {group[-1]}" if len(group) > 1 else str(group[0]) for group in groups]


def percent(share: float) -> str:
    """0.0321 -> "3.21 %"; a tiny share is never 0 %."""
    return f"{100 * share:.3g} %"
