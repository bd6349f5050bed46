"""The charts and tables of the report: for each group of rows that may be compared, and for each size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.bench.report.blocks import by_block, place_of
from cgnet_deploy.bench.report.compare import alike
from cgnet_deploy.bench.report.page import charts
from cgnet_deploy.bench.report.page.figure import Chart
from cgnet_deploy.bench.report.page.pareto import pareto
from cgnet_deploy.bench.report.page.series import ReportRow


@dataclass(frozen=True, slots=True)
class Section:
    """The rows that may be compared, and their charts. where: of a sweep, the size, batch and boundary."""

    where: str
    charts: tuple[Chart, ...]


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
