"""Rows as a table for a terminal or a CI job, as JSON and as CSV; what each column is stands in columns.py.

JSON is schema 1, which scripts depend on; mIoU and IoU are 0 to 1 there and in CSV, and per cent in the table,
as papers print them. An unknown number (p99 of too few samples, the IoU of a class that occurs nowhere) is null,
empty or "-".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cgnet_deploy import codec
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.blocks import by_block, place_of
from cgnet_deploy.bench.report.columns import COLUMNS, EMPTY, csv_row, json_row
from cgnet_deploy.bench.report.compare import against_first, fastest
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.tables import text_table

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table: one cell a row. text, hover: see `columns.Column`."""

    heading: str
    cells: tuple[str, ...]
    text: bool = False
    hover: bool = False


def columns(records: Sequence[Record]) -> list[TableColumn]:
    """The columns that any row fills: each engine's short name, COLUMNS, and the ratio to the first engine."""
    names, ratios = short_names(records), against_first(records)
    shown = [
        TableColumn("engine", tuple(names[record.engine] for record in records), text=True),
        *(
            TableColumn(column.heading, tuple(map(column.cell, records)), column.text, column.hover)
            for column in COLUMNS
            if column.heading
        ),
        TableColumn("p50 ratio (95 %)", tuple("1" if ratio is None else str(ratio) for ratio in ratios), hover=True),
    ]
    return [column for column in shown if set(column.cells) != {EMPTY}]


def table(records: Sequence[Record]) -> str:
    shown = columns(records)
    rows = zip(*(column.cells for column in shown), strict=True)
    right = [column.heading for column in shown if not column.text]
    return text_table([column.heading for column in shown], rows, right)


def markdown(records: Sequence[Record]) -> str:
    """The same as a GitHub table, for the summary of a CI job."""
    shown = columns(records)
    heading, *rows = zip(*((column.heading, *column.cells) for column in shown), strict=True)
    rule = [":--" if column.text else "--:" for column in shown]
    lines = ([cell.replace("|", "\\|") for cell in row] for row in (heading, rule, *rows))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def verdicts(records: Sequence[Record]) -> list[str]:
    """Which engine is fastest at each size, batch and boundary, or that none can be called so."""
    names, lines = short_names(records), []
    sweep = len({(record.res, record.batch) for record in records}) > 1
    for best, others in fastest(records):
        # Of the others, the one that comes closest decides.
        rival, ratio = max(others, key=lambda other: other[1].high)
        where = f"{best.boundary}, {best.res}, batch {best.batch}" if sweep else best.boundary
        against = f"p50 {ratio} of {names[rival.engine]}'s"
        if ratio.high < 1:
            lines.append(f"fastest at {where}: {names[best.engine]}, {against}")
        else:
            lines.append(f"no winner at {where}: {names[best.engine]} is lowest, but its {against} may be noise")
    return lines


def details(records: Sequence[Record]) -> str:
    """Of each profiled engine its cold start and the time of each block; empty if none was profiled."""
    engines = {(record.engine, record.res, record.batch): record for record in records if record.profile is not None}
    if not engines:
        return ""
    names = short_names(records)
    times = [by_block(record.profile or ()) for record in engines.values()]
    blocks = sorted({block for of_engine in times for block in of_engine}, key=place_of)
    headings = [f"{names[engine]} {res}, batch {batch}" for engine, res, batch in engines]
    rows = [
        (f"start: {part}", *(f"{getattr(record.cold, f'{part}_ns') / 1e6:.1f}" for record in engines.values()))
        for part in ("libraries", "load", "first")
    ]
    rows += [
        (block, *(f"{of_engine[block] / 1e6:.3f}" if block in of_engine else EMPTY for of_engine in times))
        for block in blocks
    ]
    return text_table(["ms", *headings], rows, right=headings)


def short_names(records: Sequence[Record]) -> dict[str, str]:
    """Engine -> its name in tables: its file's name, or all that was typed where two files share a name."""
    engines = dict.fromkeys(record.engine for record in records)
    names = {engine: re.sub(r"^([\w-]+:)?.*/", r"\1", engine) for engine in engines}
    taken = list(names.values())
    return {engine: name if taken.count(name) == 1 else engine for engine, name in names.items()}


def to_json(records: Sequence[Record], environment: Environment) -> dict[str, Any]:
    return {"schema": SCHEMA, "environment": codec.to_json(environment), "rows": list(map(json_row, records))}


def to_csv(records: Sequence[Record]) -> str:
    """The fields of the JSON's rows, one a column; a class's IoU is the column iou.NAME."""
    rows = list(map(csv_row, records))
    names = dict.fromkeys(name for row in rows for name in row)  # engines may differ in their classes
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
