"""What a labelled data set is, and the checks between a frame and its labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.classes import Classes
from cgnet_deploy.data.decoding import decode, other_size
from cgnet_deploy.data.images import image_size, read_image
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import track
from cgnet_deploy.spec import Res
from cgnet_deploy.threads import in_threads

Pairs = tuple[tuple[Path, Path], ...]  # (picture, mask)


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


@dataclass(frozen=True, slots=True)
class FileDataset:
    """Pairs of a picture and a mask. classes: how what a mask stores becomes labels. notes: what to know about it."""

    name: str
    classes: Classes
    pairs: Pairs
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> ClassTable:
        return self.classes.table

    def __len__(self) -> int:
        return len(self.pairs)

    def identifier(self, i: int) -> str:
        return self.pairs[i][0].stem

    def frame(self, i: int) -> U8:
        """Raises DataError if the file can't be read as a picture."""
        return read_image(self.pairs[i][0])

    def labels(self, i: int) -> U8:
        """Raises DataError if the file is no mask, differs in size from its picture or holds what is no class."""
        image, path = self.pairs[i]
        mask = read_mask(path)
        stored = Res(*mask.pixels.shape)
        if stored != (size := image_size(image)):
            raise DataError(f"{path} is {stored}, its image {image.name} is {size}{other_size(stored, size, image)}")
        return decode(mask, self.classes, path, self.name)


def sample(dataset: Dataset, i: int) -> tuple[U8, U8]:
    """Frame and labels of sample i, of one size."""
    return dataset.frame(i), dataset.labels(i)


def check_classes(dataset: Dataset, classes: int) -> None:
    """Raise DataError if a network of so many classes can't be measured or trained on the data set."""
    if len(dataset.table.names) != classes:
        raise DataError(f"{dataset.name} has {len(dataset.table.names)} classes, the network has {classes}")


def scored_images(dataset: Dataset, images: Iterable[int]) -> list[int]:
    """Those of `images` that have a pixel to score. Raises DataError if none has, or for a file that can't be used.

    All are decoded here, pictures too: a cut one would else end the work when its turn comes.
    """

    def is_scored(i: int) -> bool:
        dataset.frame(i)
        return bool((dataset.labels(i) != dataset.table.ignore_label).any())

    numbers = list(images)
    checked = track(in_threads(is_scored, numbers), len(numbers), f"checking {dataset.name}")
    scored = [i for i, one in zip(numbers, checked, strict=True) if one]
    if not scored:
        raise DataError(
            f"{dataset.name}: no pixel of {len(numbers)} label maps is of a class, all are ignored: nothing can be "
            "scored; is it the right split, and does it have labels?"
        )
    return scored


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
