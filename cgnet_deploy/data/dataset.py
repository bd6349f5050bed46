"""What a labelled data set is, and the checks between a frame and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.images import image_size, read_image, read_labels
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

NO_CLASS = -1  # in a label table: a stored value that must not occur
LabelTable = tuple[int, ...]  # 256 entries: stored value -> label


class Dataset(Protocol):
    """Labelled frames, numbered from 0, in an order that is the same everywhere."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> ClassTable: ...

    def __len__(self) -> int: ...

    def identifier(self, i: int) -> str:
        """A short name of sample i, unique in its split."""
        ...

    def frame(self, i: int) -> U8:
        """(H, W, 3) u8 BGR."""
        ...

    def labels(self, i: int) -> U8:
        """(H, W) u8: classes of `table`, or its ignore label."""
        ...


def plain_table(table: ClassTable) -> LabelTable:
    """The stored values are the labels themselves; any other value is refused."""
    known = {*range(len(table.names)), table.ignore_label}
    return tuple(value if value in known else NO_CLASS for value in range(256))


@dataclass(frozen=True, slots=True)
class FileDataset:
    """Pairs of an image file and a label file. decode: how stored label values become labels."""

    name: str
    table: ClassTable
    pairs: tuple[tuple[Path, Path], ...]
    decode: LabelTable

    def __len__(self) -> int:
        return len(self.pairs)

    def identifier(self, i: int) -> str:
        return self.pairs[i][0].stem

    def frame(self, i: int) -> U8:
        """Raises DataError if the file can't be read as a picture."""
        return read_image(self.pairs[i][0])

    def labels(self, i: int) -> U8:
        """Raises DataError if the file is no label map, differs in size from its image or has a stray label."""
        image, path = self.pairs[i]
        stored = read_labels(path)
        if stored.shape != (size := image_size(image)):
            raise DataError(f"{path} is {Res(*stored.shape)}, its image {image.name} is {Res(*size)}")
        table = np.asarray(self.decode, np.int16)
        strays = [int(v) for v in np.flatnonzero(np.bincount(stored.ravel(), minlength=256)) if table[v] == NO_CLASS]
        if strays:
            raise DataError(
                f"{path} holds the label {strays[0]}, which {self.name} doesn't have: "
                f"wanted 0 to {len(self.table.names) - 1}, or {self.table.ignore_label} for ignored pixels"
            )
        return np.asarray(table.astype(np.uint8)[stored])


def sample(dataset: Dataset, i: int) -> tuple[U8, U8]:
    """Frame and labels of sample i, of one size."""
    return dataset.frame(i), dataset.labels(i)


def check_classes(dataset: Dataset, classes: int) -> None:
    """Raise DataError if a network of so many classes can't be measured or trained on the data set."""
    if len(dataset.table.names) != classes:
        raise DataError(f"{dataset.name} has {len(dataset.table.names)} classes, the network has {classes}")


def fit_frame(frame: U8, res: Res) -> U8:
    """(H, W, 3) u8 resized linearly to `res`."""
    if frame.shape[:2] == tuple(res):
        return frame
    return np.asarray(cv2.resize(frame, (res.width, res.height), interpolation=cv2.INTER_LINEAR), np.uint8)


def fit_labels(labels: U8, res: Res) -> U8:
    """(H, W) u8 resized by the nearest neighbour to `res`, so that no label is invented."""
    if labels.shape == tuple(res):
        return labels
    # EXACT samples at pixel centres as INTER_LINEAR does; plain INTER_NEAREST is half a pixel off.
    return np.asarray(cv2.resize(labels, (res.width, res.height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def fit(frame: U8, labels: U8, res: Res) -> tuple[U8, U8]:
    """A frame and its labels, both resized to `res`."""
    return fit_frame(frame, res), fit_labels(labels, res)
