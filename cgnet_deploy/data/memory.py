"""Samples kept in memory, so that a picture that is used again is not read again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset, sample
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import track

MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class InMemory:
    """A data set whose samples, (frame, labels), are all in memory."""

    name: str
    table: ClassTable
    identifiers: tuple[str, ...]
    samples: tuple[tuple[U8, U8], ...]

    @classmethod
    def of(cls, dataset: Dataset, images: Iterable[int]) -> InMemory:
        """Those samples only, numbered from 0."""
        numbers = list(images)
        samples = tuple(sample(dataset, i) for i in track(numbers, len(numbers), f"reading {dataset.name}"))
        return cls(dataset.name, dataset.table, tuple(dataset.identifier(i) for i in numbers), samples)

    def __len__(self) -> int:
        return len(self.samples)

    def identifier(self, i: int) -> str:
        return self.identifiers[i]

    def frame(self, i: int) -> U8:
        return self.samples[i][0]

    def labels(self, i: int) -> U8:
        return self.samples[i][1]


def in_memory(dataset: Dataset) -> Dataset:
    """`dataset` in memory if that takes at most MAX_BYTES, going by its first sample; else itself."""
    if len(dataset) * 4 * dataset.labels(0).size > MAX_BYTES:
        return dataset
    return InMemory.of(dataset, range(len(dataset)))
