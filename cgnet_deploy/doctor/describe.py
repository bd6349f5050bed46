"""A description in YAML of a data set as it was understood, to start from: see data/description.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cgnet_deploy.contracts import IGNORE
from cgnet_deploy.data import description, scenes
from cgnet_deploy.data.classes import Classes, pack, spelled, unpack
from cgnet_deploy.data.dataset import FileDataset
from cgnet_deploy.doctor.survey import DataSurvey
from cgnet_deploy.errors import UsageError

COPIED = ("train", "val", "test", "masks_dir")


def check_describable(where: str) -> None:
    """Raise UsageError, before any work, for scenes, of any seed and size."""
    if scenes.recognises(where):
        raise _drawn(where)


def describe(survey: DataSurvey, file: Path) -> str:
    """The text of `file`, which gives the same labels as the data set. Raises UsageError for drawn scenes."""
    dataset = next(iter(survey.splits.values())).dataset
    if not isinstance(dataset, FileDataset):
        raise _drawn(survey.where)
    entries: dict[str, Any] = {}
    root = Path(survey.where)
    if description.recognises(survey.where):
        read = description.read(survey.where)
        root = read.root
        entries = {key: read.entries[key] for key in COPIED if key in read.entries}
    path = "." if root.absolute() == file.parent.absolute() else str(root.absolute())
    entries = {"path": path} | entries | {"names": list(dataset.table.names)}
    entries["palette"] = [list(colour) for colour in dataset.table.palette]
    if values := _values(dataset.classes):
        entries["values"] = values
    head = f"# {survey.where}, as cgnet-doctor read it ({survey.format}); rename classes or merge them in `values`\n"
    return head + yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100)


def _drawn(where: str) -> UsageError:
    return UsageError(f"--write: {where} is drawn: there are no files that a description could name")


def _values(classes: Classes) -> dict[int | str, str]:
    """Stored value or colour to class; empty where names and palette say it already."""
    names, palette = classes.table.names, classes.table.palette
    plain = {value: value for value in range(len(names))} | {IGNORE: IGNORE}
    painted = {pack(colour): label for label, colour in enumerate(palette)}
    stored, colours = dict(classes.values), dict(classes.colours)

    def meaning(label: int) -> str:
        return names[label] if label < len(names) and label != classes.table.ignore_label else "ignore"

    values: dict[int | str, str] = {}
    if stored != plain:
        values |= {value: meaning(label) for value, label in sorted(stored.items())}
    if colours and colours != painted:
        values |= {spelled(unpack(colour)): meaning(label) for colour, label in sorted(colours.items())}
    return values
