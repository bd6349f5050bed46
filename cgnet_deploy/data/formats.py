"""The data set formats, in the order in which they are tried.

To add one, write a module with what `Loader` and `Layout` ask for (see camvid.py, the shortest) and add its entry here.
Errors, every command's help and the provenance of trained checkpoints read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from cgnet_deploy.data.dataset import Dataset, Pairs


class Loader(Protocol):
    """What a format's module provides. where: what the user typed, mostly a folder."""

    def recognises(self, where: str) -> bool:
        """Whether the data set at `where`, which may not exist, is of this format; judged by its content."""
        ...

    def splits(self, where: str) -> tuple[str, ...]:
        """Those of "train", "val" and "test" that there are. Raises UserError."""
        ...

    def load(self, where: str, split: str) -> Dataset:
        """split: "train", "val", "test" or "trainval". Raises UserError, naming what is missing."""
        ...


class Layout(Loader, Protocol):
    """The module of a format that keeps pictures and masks as files; a description may give it other classes."""

    def pairs(self, where: str, split: str) -> Pairs:
        """As `load`."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """name: of its data sets. what: how the user names it. licence: what a checkpoint trained on it should say.

    is_layout: whether its module is a `Layout`.
    """

    name: str
    what: str
    licence: str
    module: str  # in this package; imported when it is needed: a command's help must be quick
    is_layout: bool = True

    def loader(self) -> Loader:
        return cast(Loader, import_module(f"cgnet_deploy.data.{self.module}"))


OWN = "see the data set's own licence"
CAMVID = "CamVid (Brostow et al.) is for personal and research use"

FORMATS = (
    Format("scenes", "scenes[:SEED[:HxW]] (drawn)", "drawn, free of rights", "scenes", is_layout=False),
    Format("YAML", "a description in YAML (a file, or data.yaml in a folder)", OWN, "description", is_layout=False),
    Format(
        "Cityscapes",
        "Cityscapes (folders leftImg8bit and gtFine)",
        "Cityscapes is for non-commercial use, see its licence",
        "cityscapes",
    ),
    Format("VOC", "VOC, CVAT or labelme (folders JPEGImages and SegmentationClass)", OWN, "voc"),
    Format("CamVid in colours", "CamVid in colours (label_colors.txt)", CAMVID, "camvid_colours"),
    Format(
        "CamVid",
        "CamVid (folders SPLIT and SPLITannot)",
        "CamVid (Brostow et al., SegNet version) is for personal and research use; val is of a sequence in train",
        "camvid",
    ),
    Format("folders", "two folders (img_dir and ann_dir, or images and masks)", OWN, "folders"),
)

WHAT = ", ".join(format.what for format in FORMATS)  # for help texts and errors
