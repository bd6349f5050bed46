"""From what a user types to a data set: its format is recognised by its content."""

from __future__ import annotations

import logging
from pathlib import Path

from cgnet_deploy.data.binary import check_not_binary
from cgnet_deploy.data.dataset import Dataset, FileDataset
from cgnet_deploy.data.formats import FORMATS, WHAT, Format
from cgnet_deploy.errors import DataError

log = logging.getLogger(__name__)


def open_dataset(where: str, split: str) -> Dataset:
    """The data set at `where`, in any format of formats.py.

    split: "train", "val", "test" or "trainval" (train, then val). Raises UserError, naming what is missing.
    """
    dataset = format_of(where).loader().load(where, split)
    if isinstance(dataset, FileDataset):
        for note in dataset.notes:
            log.info("%s: %s", where, note)
        check_not_binary(dataset)
    return dataset


def format_of(where: str) -> Format:
    """The first format that recognises `where`. DataError if none does."""
    for format in FORMATS:
        if format.loader().recognises(where):
            return format
    problem = "is not in a known data set format" if Path(where).exists() else "does not exist"
    raise DataError(f"{where} {problem}; wanted {WHAT}")
