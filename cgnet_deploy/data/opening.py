"""From what a user types to a data set: its format is recognised by its content."""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.formats import FORMATS, WHAT
from cgnet_deploy.errors import DataError


def open_dataset(where: str, split: str) -> Dataset:
    """The data set at `where`, in any format of formats.py.

    split: "train", "val", "test" or "trainval" (train, then val). Raises UserError, naming what is missing.
    """
    for format in FORMATS:
        loader = format.loader()
        if loader.recognises(where):
            return loader.load(where, split)
    problem = "is not in a known data set format" if Path(where).exists() else "does not exist"
    raise DataError(f"{where} {problem}; wanted {WHAT}")
