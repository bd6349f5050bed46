"""Which classes and which input contract a checkpoint's network has. Of each fact the first that is known counts:

    what the user says, a contract that the user names, our own format's description, mmsegmentation's `meta`,
    the published contract for format and class count, unless the classes have other names

Names and colours that nobody gives are numbers and evenly spaced hues. Mean, std and colour order have no default.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgnet_deploy.checkpoint.meta import Meta
from cgnet_deploy.contracts import CONTRACTS, ClassTable, class_table, contract_name, known_as, named_contract
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.spec import Color, InputSpec, ModelSpec, Res, Triple

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user says; None for what isn't said. contract: a name. table: names and colours.

    res: where nothing else has a size. A user who exports for another size does not change what the recipe tests at.
    """

    contract: str | None = None
    table: ClassTable | None = None
    mean: Triple | None = None
    std: Triple | None = None
    color: Color | None = None
    res: Res | None = None


def settle(
    path: Path, fmt: str, classes: int, blocks: tuple[int, int], stored: ModelSpec | None, meta: Meta, user: Overrides
) -> ModelSpec:
    """The spec of the network in `path`. stored: the spec in a file of our own format.

    Raises UsageError where mean, std, colour order or size are missing, CheckpointError for names that don't fit.
    """
    contract = named_contract(user.contract) if user.contract else None
    used: set[str] = set()
    table = _table(path, classes, stored, meta, user.table, used)
    known = (contract, stored.input if stored else None, meta, _published(fmt, table))
    values: dict[str, Any] = {}
    for field in ("mean", "std", "color", "res"):
        sources = (*known, user) if field == "res" else (user, *known)
        source = next((one for one in sources if getattr(one, field, None) is not None), None)
        values[field] = getattr(source, field, None)
        if source is meta:
            used.add(field)
    _demand(path, fmt, classes, values, meta)
    try:
        spec = ModelSpec(InputSpec(**values), table.names, table.palette, table.ignore_label, blocks)
    except UsageError as error:
        raise CheckpointError(f"{path}: {error}; see --names, --mean, --std and --res") from error
    if stored is None and (used or user.contract is None):
        given = spec.input
        log.info(
            f"{path}: {fmt} format, {spec.name}, {classes} classes; {meta.summary(used)}input contract "
            f"{known_as(given)}, {given.color.upper()} minus {given.mean}, divided by {given.std}, at "
            f"{given.res.spelled()}; choose another with --contract"
        )
    return spec


def _table(
    path: Path, classes: int, stored: ModelSpec | None, meta: Meta, user: ClassTable | None, used: set[str]
) -> ClassTable:
    if user is not None:
        if len(user.names) != classes:
            raise UsageError(f"--names has {len(user.names)} classes, {path} has {classes}; wanted one name a line")
        return user
    if stored is not None:
        return ClassTable(stored.class_names, stored.palette, stored.ignore_label)
    if meta.names is None:
        return class_table(classes)
    if len(meta.names) != classes:
        raise CheckpointError(
            f"{path}: its meta names {len(meta.names)} classes, its weights have {classes}; name them with --names FILE"
        )
    used.add("names")
    palette = class_table(classes).palette
    if meta.palette is not None:
        if len(meta.palette) != classes:
            raise CheckpointError(
                f"{path}: its meta has {len(meta.palette)} colours for {classes} classes; give them with --names FILE"
            )
        used.add("palette")
        palette = meta.palette
    used.add("ignore_label")
    return ClassTable(meta.names, palette, 255 if meta.ignore_label is None else meta.ignore_label)


def _published(fmt: str, table: ClassTable) -> InputSpec | None:
    known = class_table(len(table.names))
    if [name.lower() for name in table.names] != [name.lower() for name in known.names]:
        return None  # as many classes, but others
    try:
        return CONTRACTS[contract_name(fmt, len(table.names))]
    except UsageError:
        return None


def _demand(path: Path, fmt: str, classes: int, values: dict[str, Any], meta: Meta) -> None:
    unread = f" ({meta.unread}, so it was not read)" if meta.unread else ""
    if missing := [f"--{field}" for field in ("mean", "std", "color") if values[field] is None]:
        raise UsageError(
            f"{path}: no input contract is known for {classes} classes in the {fmt} format{unread}: give "
            f"{', '.join(missing)}, or choose one with --contract ({', '.join(CONTRACTS)})"
        )
    if values["res"] is None:
        raise UsageError(f"{path} doesn't say the size of its frames{unread}: give --res HxW")
