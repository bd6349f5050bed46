"""Classes for a data set that names none: one for each value, or colour, that its masks hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cgnet_deploy.contracts import IGNORE
from cgnet_deploy.data.classes import Classes, own_classes, unpack
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.errors import DataError
from cgnet_deploy.progress import track
from cgnet_deploy.spec import MAX_CLASSES


def numbered_classes(masks: Sequence[Path]) -> Classes:
    """ "class 0" and so on. 255 is taken as ignored, unless masks hold 0 and 255 alone: then it is the second class.

    Raises DataError for a file that is no mask, and for masks with more values than classes can be.
    """
    values, colours = set[int](), set[int]()
    for path in track(masks, len(masks), "looking for classes"):
        mask = read_mask(path)
        found = values if mask.kind == "values" else colours
        found |= set(np.unique(mask.pixels).tolist())
        if len(found) > MAX_CLASSES + 1:
            raise DataError(f"{path}: the masks hold more than {MAX_CLASSES} {mask.kind}: are they no label maps?")
    if values and colours:
        raise DataError(f"{masks[0].parent}: some masks hold values and others colours; nothing says which is which")
    if colours:
        palette = sorted(colours)[:MAX_CLASSES]
        names = [f"class {i}" for i in range(len(palette))]
        return own_classes(masks[0].parent, names, [unpack(colour) for colour in palette])
    stored = sorted(values if values == {0, IGNORE} else values - {IGNORE}) or [0]
    names = [f"class {value}" for value in stored]
    labels = {IGNORE: IGNORE} | {value: label for label, value in enumerate(stored)}
    return own_classes(masks[0].parent, names, values=labels)
