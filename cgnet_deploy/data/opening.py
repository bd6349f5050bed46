"""From what a user types to a data set: its kind is told by its content."""

from __future__ import annotations

from pathlib import Path

from cgnet_deploy.data.camvid import camvid, is_camvid
from cgnet_deploy.data.cityscapes import cityscapes, is_cityscapes
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.scenes import Scenes
from cgnet_deploy.errors import DataError, UsageError
from cgnet_deploy.spec import Res


def open_dataset(where: str, split: str) -> Dataset:
    """The data set at `where`: a folder of CamVid or Cityscapes, or scenes[:SEED[:HxW]].

    split: "train", "val", "test" or "trainval" (train, then val). Raises DataError, naming what is missing.
    """
    kind, _, rest = where.partition(":")
    if kind == "scenes":
        return _scenes(where, rest, split)
    folder = Path(where)
    if not folder.is_dir():
        raise DataError(f"{where} is not a folder; wanted CamVid, Cityscapes or scenes[:SEED[:HxW]]")
    if is_cityscapes(folder):
        return cityscapes(folder, split)
    if is_camvid(folder):
        return camvid(folder, split)
    raise DataError(
        f"{where} is neither CamVid (folders {split} and {split}annot) nor Cityscapes (folders leftImg8bit and gtFine)"
    )


def _scenes(where: str, rest: str, split: str) -> Scenes:
    seed, _, res = rest.partition(":")
    if (seed and not (seed.isdecimal() and len(seed) <= 9)) or rest.endswith(":"):
        raise UsageError(f"{where!r} is not scenes[:SEED[:HxW]], such as scenes:7 or scenes:7:1024x2048")
    return Scenes(split, int(seed or 0), Res.parse(res) if res else Scenes.default_res)
