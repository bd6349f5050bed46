"""Some samples of a data set: whole sequences held out of training, by the names of their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8

SHOWN = 3  # names in an error


@dataclass(frozen=True, slots=True)
class Subset:
    """The samples `numbers` of `dataset`, numbered from 0 in that order."""

    dataset: Dataset
    numbers: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def table(self) -> ClassTable:
        return self.dataset.table

    def __len__(self) -> int:
        return len(self.numbers)

    def identifier(self, i: int) -> str:
        return self.dataset.identifier(self.numbers[i])

    def frame(self, i: int) -> U8:
        return self.dataset.frame(self.numbers[i])

    def labels(self, i: int) -> U8:
        return self.dataset.labels(self.numbers[i])


def split_by_name(dataset: Dataset, pattern: str) -> tuple[Subset, Subset]:
    """(samples whose name doesn't match, those whose name does). pattern: as a shell's, such as "0001TP*".

    Raises DataError if either is empty.
    """
    names = [dataset.identifier(i) for i in range(len(dataset))]
    matched = {i for i, name in enumerate(names) if fnmatchcase(name, pattern)}
    if not 0 < len(matched) < len(names):
        which = "no picture" if not matched else f"each of the {len(names)} pictures"
        raise DataError(
            f"{dataset.name}: {which} has a name like {pattern!r}; there are {', '.join(names[:SHOWN])}, ...: "
            "hold out some of them, such as with 'SEQUENCE*'"
        )
    rest = tuple(i for i in range(len(names)) if i not in matched)
    return Subset(dataset, rest), Subset(dataset, tuple(sorted(matched)))
