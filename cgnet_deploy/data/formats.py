"""The data set formats, in the order in which they are tried.

To add one, write a module with `recognises` and `load` (see camvid.py, the shortest) and add its entry here. Errors,
every command's help and the provenance of trained checkpoints read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from cgnet_deploy.data.dataset import Dataset


class Loader(Protocol):
    """What a format's module provides. where: what the user typed, mostly a folder."""

    def recognises(self, where: str) -> bool:
        """Whether the data set at `where`, which may not exist, is of this format; judged by its content."""
        ...

    def load(self, where: str, split: str) -> Dataset:
        """split: "train", "val", "test" or "trainval". Raises UserError, naming what is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """name: of its data sets. what: how the user names it. licence: what a checkpoint trained on it should say."""

    name: str
    what: str
    licence: str
    module: str  # in this package; imported when it is needed: a command's help must be quick

    def loader(self) -> Loader:
        return cast(Loader, import_module(f"cgnet_deploy.data.{self.module}"))


FORMATS = (
    Format("scenes", "scenes[:SEED[:HxW]] (drawn)", "drawn, free of rights", "scenes"),
    Format(
        "Cityscapes",
        "Cityscapes (folders leftImg8bit and gtFine)",
        "Cityscapes is for non-commercial use, see its licence",
        "cityscapes",
    ),
    Format(
        "CamVid",
        "CamVid (folders SPLIT and SPLITannot)",
        "CamVid (Brostow et al., SegNet version) is for personal and research use; val is of a sequence in train",
        "camvid",
    ),
)

WHAT = ", ".join(format.what for format in FORMATS)  # for help texts and errors
