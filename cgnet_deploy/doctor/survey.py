"""What is in a data set: every picture and mask of every split is read once; and what is wrong with it, worst first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.classes import NamesMissing
from cgnet_deploy.data.dataset import Dataset, FileDataset
from cgnet_deploy.data.formats import Format, Layout
from cgnet_deploy.data.images import UPRIGHT, orientation
from cgnet_deploy.data.opening import format_of, open_dataset, splits_of
from cgnet_deploy.doctor.numbered import numbered_classes
from cgnet_deploy.errors import DataError
from cgnet_deploy.files import sha256_of
from cgnet_deploy.progress import track
from cgnet_deploy.spec import Res

RARE = 0.001  # of the labelled pixels of train
MOSTLY = 0.5  # of all pixels


@dataclass(frozen=True, slots=True)
class Problem:
    """error: whether commands refuse the data set for it."""

    error: bool
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class SplitSurvey:
    """sizes: how many pictures have each. pixels: (K,) of each class. turned: pictures with an EXIF orientation.

    hashes: sha256 of each picture's file, to its name; empty where pictures are no files.
    """

    dataset: Dataset
    sizes: Mapping[Res, int]
    pixels: npt.NDArray[np.int64]
    ignored: int
    turned: int
    hashes: Mapping[str, str]
    faults: tuple[str, ...]

    @property
    def ignored_share(self) -> float:
        return self.ignored / max(1, self.ignored + int(self.pixels.sum()))

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """(K,) of the labelled pixels."""
        return np.asarray(self.pixels / max(1, int(self.pixels.sum())))


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey:
    """format: as the data set calls itself. names_missing: why classes are only numbered; else empty."""

    where: str
    format: str
    splits: Mapping[str, SplitSurvey]
    problems: tuple[Problem, ...]
    names_missing: str

    @property
    def table(self) -> ClassTable:
        return next(iter(self.splits.values())).dataset.table

    @property
    def notes(self) -> tuple[str, ...]:
        dataset = next(iter(self.splits.values())).dataset
        return dataset.notes if isinstance(dataset, FileDataset) else ()


def survey_data(where: str) -> DataSurvey:
    """Read all of it. Raises UserError where nothing could be listed; bad files are problems of the survey."""
    names = splits_of(where)
    if not names:
        raise DataError(f"{where} has no split: no train, val or test")
    missing = ""
    try:
        datasets = {name: open_dataset(where, name) for name in names}
    except NamesMissing as error:
        missing = str(error)
        datasets = dict(_numbered(where, format_of(where), names))
    splits = {name: survey_split(name, dataset) for name, dataset in datasets.items()}
    problems = sorted(_problems(splits, missing), key=lambda problem: not problem.error)
    kind = next(iter(datasets.values())).name  # "YAML on CamVid" says more than the format does
    return DataSurvey(where, kind, splits, tuple(problems), missing)


def _numbered(where: str, format: Format, names: tuple[str, ...]) -> Iterator[tuple[str, Dataset]]:
    """The splits with a class for each value that the masks hold."""
    layout = cast(Layout, format.loader())
    pairs = {name: layout.pairs(where, name) for name in names}
    classes = numbered_classes([mask for split in pairs.values() for _, mask in split])
    return ((name, FileDataset(format.name, classes, split)) for name, split in pairs.items())


def survey_split(name: str, dataset: Dataset) -> SplitSurvey:
    sizes, counts, hashes, faults, turned = Counter[Res](), np.zeros(256, np.int64), dict[str, str](), list[str](), 0
    for i in track(range(len(dataset)), len(dataset), f"reading {name}"):
        try:
            sizes[Res(*dataset.frame(i).shape[:2])] += 1
            counts += np.bincount(dataset.labels(i).ravel(), minlength=256)
            if isinstance(dataset, FileDataset):
                picture, _ = dataset.pairs[i]
                turned += orientation(picture) != UPRIGHT
                hashes[sha256_of(picture)] = dataset.identifier(i)
        except DataError as error:
            faults.append(str(error))
    pixels, ignored = counts[: len(dataset.table.names)], int(counts[dataset.table.ignore_label])
    return SplitSurvey(dataset, dict(sizes), pixels, ignored, turned, hashes, tuple(faults))


def _problems(splits: Mapping[str, SplitSurvey], names_missing: str) -> Iterator[Problem]:
    for name, split in splits.items():
        if split.faults:
            more = f" ({len(split.faults)} of {len(split.dataset)} in {name} can't be used)"
            yield Problem(True, split.faults[0] + (more if len(split.faults) > 1 else ""))
        elif not split.pixels.any():
            yield Problem(True, f"{name} has no labelled pixel: all of it is ignored")
    if names_missing:
        yield Problem(True, names_missing)
    held = defaultdict(list)
    for name, split in splits.items():
        for digest in split.hashes:
            held[digest].append(name)
    for pair, count in Counter(" and ".join(names) for names in held.values() if len(names) > 1).items():
        yield Problem(False, f"{count} pictures are in {pair}: what is measured on them says little")
    for name in ("train", "val"):
        if name not in splits:
            yield Problem(False, f"there is no {name}: " + ("nothing to train on" if name == "train" else "no mIoU"))
    for name, split in splits.items():
        yield from _of_split(name, split)


def _of_split(name: str, split: SplitSurvey) -> Iterator[Problem]:
    names = split.dataset.table.names
    labelled = zip(names, split.pixels.tolist(), split.shares.tolist(), strict=True)
    parts = list(labelled)
    if absent := [one for one, pixels, _ in parts if not pixels]:
        yield Problem(False, f"no pixel in {name}: {', '.join(absent)}")
    if name == "train" and (rare := [f"{one} {share:.3%}" for one, pixels, share in parts if pixels and share < RARE]):
        yield Problem(False, f"rare in train: {', '.join(rare)}; the network may never give them")
    if split.ignored_share > MOSTLY:
        yield Problem(False, f"{split.ignored_share:.0%} of the pixels of {name} are ignored")
    if split.turned:
        yield Problem(
            False, f"{split.turned} pictures of {name} have an EXIF orientation: they are turned upright, as viewers do"
        )
