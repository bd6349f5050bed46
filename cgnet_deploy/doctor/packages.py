"""Which extras are installed here, by what the distribution itself declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata

NAME = "cgnet-deploy"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*>=\s*(?P<least>[\w.]+)\s*;\s*extra\s*==\s*[\"'](?P<extra>\w+)[\"']")
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
        declared = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return []
    wanted: dict[str, list[tuple[str, str]]] = {}
    for line in declared:
        if match := REQUIREMENT.fullmatch(line.strip()):
            wanted.setdefault(match["extra"], []).append((match["name"], match["least"]))
    return [_extra(name, packages) for name, packages in wanted.items() if name not in HIDDEN]


def _extra(name: str, packages: list[tuple[str, str]]) -> Extra:
    here, lacking = [], []
    for package, least in packages:
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            lacking.append(f"{package} is missing")
            continue
        here.append(f"{package} {version}")
        if release(version) < release(least):
            lacking.append(f"{package} {version} is older than {least}")
    return Extra(name, tuple(here), tuple(lacking))


def release(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` -> (2, 13, 0): the numbers up to the first part that is none."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
