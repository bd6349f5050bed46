"""From what a user types to a data set: its format is recognised by its content."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cgnet_deploy.data.binary import check_not_binary
from cgnet_deploy.data.dataset import Dataset, FileDataset
from cgnet_deploy.data.formats import FORMATS, WHAT, Format
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import exists

log = logging.getLogger(__name__)


def open_dataset(where: str, split: str) -> Dataset:
    """The data set at `where`, in any format of formats.py.

    split: "train", "val", "test" or "trainval" (train, then val). Raises UserError, naming what is missing.
    """
    with accessible(where):
        dataset = format_of(where).loader().load(where, split)
        if isinstance(dataset, FileDataset):
            for note in dataset.notes:
                log.info("%s: %s", where, note)
            check_not_binary(dataset)
    return dataset


def splits_of(where: str) -> tuple[str, ...]:
    """Those of "train", "val" and "test" that the data set has. Raises UserError."""
    with accessible(where):
        return format_of(where).loader().splits(where)


@contextmanager
def accessible(where: str) -> Iterator[None]:
    """What the system refuses is a DataError: a folder that may not be entered, a name that is too long."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{where} can't be read: {error.strerror}: {str(error.filename)[:200]}") from error


def format_of(where: str) -> Format:
    """The first format that recognises `where`. DataError if none does."""
    for format in FORMATS:
        if format.loader().recognises(where):
            return format
    problem = "is not in a known data set format" if exists(Path(where)) else "does not exist"
    raise DataError(f"{where} {problem}; wanted {WHAT}")
