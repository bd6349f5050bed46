"""Which extras are installed here, by what the distribution itself declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

NAME = "cgnet-deploy"
HIDDEN = {"dev"}  # for those who change this project


@dataclass(frozen=True, slots=True)
class Extra:
    """here: name and version of each package. lacking: what is missing or too old, and why."""

    name: str
    here: tuple[str, ...]
    lacking: tuple[str, ...]


def extras() -> list[Extra]:
    """None where the project runs from a bare checkout, which declares nothing."""
    try:
        names = metadata.metadata(NAME).get_all("Provides-Extra") or []
        declared = [Requirement(line) for line in metadata.requires(NAME) or ()]
    except metadata.PackageNotFoundError:
        return []
    return [_extra(name, _of_extra(declared, name)) for name in names if name not in HIDDEN]


def _of_extra(declared: list[Requirement], name: str) -> Iterator[Requirement]:
    for one in declared:
        if one.marker and one.marker.evaluate({"extra": name}) and not one.marker.evaluate({"extra": ""}):
            yield one


def _extra(name: str, wanted: Iterator[Requirement]) -> Extra:
    here, lacking = [], []
    for one in wanted:
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            lacking.append(f"{one.name} is missing")
            continue
        here.append(f"{one.name} {version}")
        if not one.specifier.contains(version, prereleases=True):
            lacking.append(f"{one.name} is {version}, wanted {one.specifier}")
    return Extra(name, tuple(here), tuple(lacking))
