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
from cgnet_deploy.bench.report.blocks import by_block, place_of
from cgnet_deploy.bench.report.compare import against_first, alike
from cgnet_deploy.bench.report.notes import notes
from cgnet_deploy.bench.report.page import charts
from cgnet_deploy.bench.report.page.figure import Chart
from cgnet_deploy.bench.report.page.images import ShownPicture, shown
from cgnet_deploy.bench.report.page.pareto import pareto
from cgnet_deploy.bench.report.page.series import ReportRow, rows_of
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import require

HERE = Path(__file__).parent
NEEDS = ("jinja2", "matplotlib", "PIL")


@dataclass(frozen=True, slots=True)
class Card:
    """One of the answers at the top."""

    title: str
    number: int | None
    value: str
    unit: str
    name: str
    more: str


@dataclass(frozen=True, slots=True)
class Section:
    """The rows that may be compared, and their charts. where: of a sweep, the size, batch and boundary."""

    where: str
    charts: tuple[Chart, ...]


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


def cards(rows: Sequence[ReportRow]) -> list[Card]:
    """Of the first rows that may be compared: the fastest, the most accurate, and the one to take."""
    first = next(iter(alike([row.record for row in rows]).values()))
    group = [row for row in rows if any(row.record is record for record in first)]
    fastest = min(group, key=lambda row: row.record.latency_ms.p50)
    base = group[0]
    cards = [
        Card(
            "Lowest latency",
            fastest.number,
            f"{fastest.record.latency_ms.p50:.1f}",
            "ms p50",
            fastest.name,
            _against(fastest, base),
        )
    ]
    scored = [row for row in group if row.record.miou is not None]
    if scored:
        best = max(scored, key=lambda row: row.record.miou or 0)
        least = min(row.record.miou or 0 for row in scored)
        spread = 100 * ((best.record.miou or 0) - least)
        cards.append(
            Card(
                "Highest mIoU",
                best.number,
                f"{100 * (best.record.miou or 0):.2f}",
                "%",
                best.name,
                f"all lie within {spread:.2f} points, over {best.record.images} images"
                if len(scored) > 1
                else f"over {best.record.images} images",
            )
        )
    leanest = min(group, key=lambda row: row.record.peak_memory_mib)
    cards.append(
        Card(
            "Least memory",
            leanest.number,
            f"{leanest.record.peak_memory_mib:.0f}",
            "MiB peak",
            leanest.name,
            "host memory of its process, libraries included",
        )
    )
    return cards


def _against(row: ReportRow, base: ReportRow) -> str:
    fps = f"{row.record.throughput_fps:.1f} frames a second"
    if row is base:
        return fps
    return f"{fps}, {base.record.latency_ms.p50 / row.record.latency_ms.p50:.2f} times as fast as {base.name}"


def sections(rows: Sequence[ReportRow]) -> list[Section]:
    groups = alike([row.record for row in rows])
    several = len(groups) > 1
    sections = []
    for boundary, batch in dict.fromkeys((kind[2], kind[1]) for kind in groups):
        scored = [row for row in rows if (row.record.boundary, row.record.batch) == (boundary, batch)]
        scored = [row for row in scored if row.record.miou is not None]
        if scored:
            where = f"{boundary}, batch {batch}" if several else ""
            sections.append(Section(where, (pareto(f"pareto-{boundary}-{batch}", scored),)))
    for kind, records in groups.items():
        group = [row for row in rows if any(row.record is record for record in records)]
        name = f"{kind[2]}-{kind[0]}-{kind[1]}"
        drawn = [charts.latency(f"latency-{name}", group)]
        if len(group[0].record.rounds) > 1:
            drawn.append(charts.rounds(f"rounds-{name}", group))
        sections.append(Section(f"{kind[2]}, {kind[0]}, batch {kind[1]}" if several else "", tuple(drawn)))
    for size, group in by_size(rows).items():
        name, drawn = size.replace(", batch ", "-"), []
        if any(value is not None for value in group[0].record.iou.values()):
            drawn.append(charts.classes(f"classes-{name}", group))
        if profiled := [row for row in group if row.record.profile]:
            drawn.append(charts.parts(f"parts-{name}", profiled))
        drawn.append(charts.cold_start(f"cold-{name}", group))
        sections.append(Section(size if several else "", tuple(drawn)))
    return sections


def by_size(rows: Sequence[ReportRow]) -> dict[str, list[ReportRow]]:
    """Rows of one boundary for each size and batch: accuracy does not depend on the boundary."""
    groups: dict[str, dict[int, ReportRow]] = {}
    for row in rows:
        groups.setdefault(f"{row.record.res}, batch {row.record.batch}", {}).setdefault(row.number, row)
    return {size: list(group.values()) for size, group in groups.items()}


def class_tables(rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
    """Of each size: IoU in per cent, classes down, engines across, and the points by which each is off the first."""
    tables = []
    for size, group in by_size(rows).items():
        scored = [row for row in group if row.record.iou]
        if not scored:
            continue
        lines = []
        for label in scored[0].record.iou:
            values = [row.record.iou.get(label) for row in scored]
            off = [None if None in (value, values[0]) else 100 * (value - values[0]) for value in values]  # type: ignore[operator]
            lines.append((label, list(zip(values, off, strict=True))))
        tables.append({"where": size, "numbers": [row.number for row in scored], "lines": lines})
    return tables


def block_tables(rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
    """Of each size: ms an inference, blocks down, profiled engines across."""
    tables = []
    for size, group in by_size(rows).items():
        profiled = [row for row in group if row.record.profile]
        times = [by_block(row.record.profile or ()) for row in profiled]
        blocks = dict.fromkeys(block for of_row in times for block in of_row)
        lines = [(block, [of_row.get(block) for of_row in times]) for block in sorted(blocks, key=place_of)]
        if lines:
            tables.append({"where": size, "numbers": [row.number for row in profiled], "lines": lines})
    return tables


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
