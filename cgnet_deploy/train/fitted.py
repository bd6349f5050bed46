"""A data set whose pictures all have one size, as a network sees them at test time."""

from __future__ import annotations

from dataclasses import dataclass

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset, fit_frame, fit_labels
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res


@dataclass(frozen=True, slots=True)
class Fitted:
    """`dataset`, resized to `res`."""

    dataset: Dataset
    res: Res

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def table(self) -> ClassTable:
        return self.dataset.table

    def __len__(self) -> int:
        return len(self.dataset)

    def identifier(self, i: int) -> str:
        return self.dataset.identifier(i)

    def frame(self, i: int) -> U8:
        return fit_frame(self.dataset.frame(i), self.res)

    def labels(self, i: int) -> U8:
        return fit_labels(self.dataset.labels(i), self.res)
