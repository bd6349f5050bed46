"""The pictures of a report: a few scored frames, and how every engine labelled them.

An accuracy pass keeps labels as files only as long as it lasts (see agreement.py). A report shows the pictures on which
the engines differ most from the first, then others spread over the data set: both the worst and the usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cgnet_deploy.bench.accuracy import agreement
from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset, fit
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

PICTURES = 4
WORST = 2  # of them, those that differ most


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPicture:
    """One scored frame at the size that the engines took.

    frame: (H, W, 3) u8 BGR. truth: (H, W) u8. labels: (H, W) u8 of each engine. bands: (H, W) u8, of the first
    engine's margins (see agreement.EDGES), None where it has none.
    """

    name: str
    frame: U8
    truth: U8
    labels: tuple[U8, ...]
    bands: U8 | None

    def differing(self, number: int) -> U8:
        """(H, W) u8: 0 where that engine agrees with the first, 1 where it differs on a margin below the highest
        band, 2 where it differs in spite of a large one. Without margins all that differs is 2.
        """
        clear = np.ones_like(self.truth) if self.bands is None else self.bands == agreement.BANDS - 1
        return np.asarray((self.labels[number] != self.labels[0]) * (1 + clear), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The pictures of one size and batch. engines: in order, by the names that rows have."""

    res: Res
    batch: int
    table: ClassTable
    engines: tuple[str, ...]
    pictures: tuple[ScoredPicture, ...]


def gallery(
    dataset: Dataset, res: Res, batch: int, engines: Sequence[str], kept: Sequence[Path], images: int
) -> Gallery:
    """Of the labels that each of the engines left in its folder of `kept`, for the first `images` frames."""
    shown = [_picture(dataset, res, kept, i) for i in choose(differences(kept, images))]
    return Gallery(res, batch, dataset.table, tuple(engines), tuple(shown))


def differences(kept: Sequence[Path], images: int) -> list[int]:
    """Of each image: how many pixels differ from the first engine's, the others taken together."""
    counts = []
    for i in range(images):
        first = agreement.labels_kept(kept[0], i)
        counts.append(sum(int((agreement.labels_kept(other, i) != first).sum()) for other in kept[1:]))
    return counts


def choose(differing: Sequence[int]) -> list[int]:
    """The numbers of at most PICTURES images, rising."""
    images = len(differing)
    worst = [i for i in sorted(range(images), key=lambda i: -differing[i])[:WORST] if differing[i]]
    spread = [i * images // PICTURES for i in range(PICTURES)]
    return sorted(list(dict.fromkeys([*worst, *spread]))[:PICTURES])


def _picture(dataset: Dataset, res: Res, kept: Sequence[Path], i: int) -> ScoredPicture:
    frame, truth = fit(dataset.frame(i), dataset.labels(i), res)
    labels = tuple(agreement.labels_kept(folder, i) for folder in kept)
    return ScoredPicture(dataset.identifier(i), frame, truth, labels, agreement.bands_kept(kept[0], i))
