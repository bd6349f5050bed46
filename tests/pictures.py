"""A data set in memory, of given truth and of frames that say what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cgnet_deploy.contracts import CAMVID_CLASSES, ClassTable
from cgnet_deploy.pixels import U8


@dataclass
class Pictures:
    """Frames whose blue channel is the label to be predicted."""

    predicted: list[U8]
    truth: list[U8]
    name: str = "pictures"
    table: ClassTable = field(default=CAMVID_CLASSES)

    def __len__(self) -> int:
        return len(self.truth)

    def identifier(self, i: int) -> str:
        return str(i)

    def frame(self, i: int) -> U8:
        return np.repeat(self.predicted[i][..., None], 3, axis=2)

    def labels(self, i: int) -> U8:
        return self.truth[i]


def random_labels(rng: np.random.Generator, classes: int, count: int) -> list[U8]:
    return [rng.integers(0, classes, (32, 40), np.uint8) for _ in range(count)]
