"""Masks of 0 and 255: a class and ignored pixels by convention, two classes to most who export them."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.data.dataset import FileDataset
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.errors import DataError

LOOKED_AT = 8  # masks, from all over the split


def check_not_binary(dataset: FileDataset) -> None:
    """DataError if a data set of one or two classes seems to store the second as 255."""
    if not dataset.classes.binary_is_likely:
        return
    count = min(LOOKED_AT, len(dataset))
    masks = [dataset.pairs[i * len(dataset) // count][1] for i in range(count)]
    present = set[int]()
    for path in masks:
        mask = read_mask(path)
        if mask.kind == "colours":
            return
        present |= set(np.unique(mask.pixels).tolist())
    if present == {0, 255}:
        names = dataset.table.names
        meaning = f"0: {names[0]}, 255: {names[1]}" if len(names) > 1 else f"0: ignore, 255: {names[0]}"
        raise DataError(
            f"{masks[0]} and {count - 1} more masks hold 0 and 255 alone: are they binary? Then say in the description "
            f"values: {{{meaning}}}; if 255 is ignored pixels, ignore: 255"
        )
