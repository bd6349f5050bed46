"""From rows and pictures to one HTML file.

Whatever a user or a file can name (engines, paths, classes, commands) reaches the page through the template's
escaping or through matplotlib's; nothing is put together as text here. The page's own policy forbids it to load
anything and to run any script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cgnet_deploy.bench.accuracy.gallery import Gallery
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report import table as report
from cgnet_deploy.bench.report.compare import against_first
from cgnet_deploy.bench.report.notes import notes
from cgnet_deploy.bench.report.page.cards import cards
from cgnet_deploy.bench.report.page.images import ShownPicture, shown
from cgnet_deploy.bench.report.page.sections import block_tables, class_tables, sections
from cgnet_deploy.bench.report.page.series import ReportRow, rows_of
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import require

HERE = Path(__file__).parent
NEEDS = ("jinja2", "matplotlib", "PIL")


@dataclass(frozen=True, slots=True)
class Wall:
    """The pictures of one size and batch. names: number and name of each engine."""

    where: str
    names: tuple[tuple[int, str], ...]
    legend: tuple[tuple[str, str], ...]  # class, CSS colour
    pictures: tuple[ShownPicture, ...]


def check_packages() -> None:
    """Raise MissingPackage, before any work, if a report can't be drawn."""
    for package in NEEDS:
        require(package, extra="report")


def page(records: Sequence[Record], here: Environment, galleries: Sequence[Gallery]) -> str:
    """The report as HTML. records: at least one."""
    jinja2 = require("jinja2", extra="report")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = rows_of(records)
    numbers = {row.number: row.name for row in rows}
    script = (HERE / "page.js").read_text(encoding="utf-8")
    text: str = templates.get_template("page.html").render(
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        headline=headline(records),
        here=here,
        cards=cards(rows),
        verdicts=report.verdicts(records),
        notes=[note.removeprefix("note: ") for note in notes(records)],
        engines=sorted(numbers.items()),
        columns=[column for column in report.columns(records) if not said_above(column)],
        row_numbers=[row.number for row in rows],
        ratios=against_first(records),
        sections=sections(rows),
        classes=class_tables(rows),
        blocks=block_tables(rows),
        walls=[wall(gallery, rows) for gallery in galleries],
        scored=any(record.images for record in records),
        files=list(dict.fromkeys((row.number, row.record.engine, row.record.sha256) for row in rows)),
        environment=environment_lines(here),
        command=shlex.join(here.command),
        data=report.to_json(records, here),
    )
    return text


def said_above(column: report.TableColumn) -> bool:
    """Is all of the table's column in the headline?"""
    return column.heading in ("HxW", "batch", "boundary") and len(set(column.cells)) == 1


def headline(records: Sequence[Record]) -> str:
    """What was measured, in one line."""
    sizes = ", ".join(dict.fromkeys(f"{record.res}" for record in records))
    batches = ", ".join(dict.fromkeys(str(record.batch) for record in records))
    boundaries = ", ".join(dict.fromkeys(record.boundary for record in records))
    engines = len({row.number for row in rows_of(records)})
    return f"{engines} engine{'s' * (engines > 1)} at {sizes}, batch {batches}, {boundaries}"


def wall(gallery: Gallery, rows: Sequence[ReportRow]) -> Wall:
    names = {row.number: row.name for row in rows}
    legend = [
        (name, f"rgb({r} {g} {b})") for name, (r, g, b) in zip(gallery.table.names, gallery.table.palette, strict=True)
    ]
    engines = tuple((number, names[number]) for number in range(1, len(gallery.engines) + 1))
    return Wall(f"{gallery.res}, batch {gallery.batch}", engines, tuple(legend), tuple(shown(gallery)))


def environment_lines(here: Environment) -> list[tuple[str, str]]:
    """All that is known of the machine, whatever an Environment holds; the command is shown apart."""
    lines = {field: in_words(value) for field, value in asdict(here).items() if field != "command"}
    return [(field.replace("_", " "), words) for field, words in lines.items() if words]


def in_words(value: Any) -> str:
    match value:
        case None:
            return ""
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items())
        case tuple() | list():
            return ", ".join(map(str, value))
    return str(value)
