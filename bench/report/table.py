"""Rows as a table for a terminal or a CI job, as JSON and as CSV.

JSON is schema 1, which scripts depend on; mIoU and IoU are 0 to 1 there and in CSV, and per cent in the table,
as papers print them. A number that can't be said (p99 of too few samples, the IoU of a class that occurs
nowhere) is null, empty or "-".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cgnet_deploy.bench.accuracy.agreement import Agreement
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.blocks import block_of, by_block, place_of
from cgnet_deploy.bench.report.compare import Ratio, against_first, fastest
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.engines.base import Layer

SCHEMA = 1
HEADINGS = (
    "engine",
    "backend",
    "precision",
    "HxW",
    "batch",
    "boundary",
    "mIoU %",
    "ms+flip %",
    "outline F %",
    "differs %",
    "p50 ms",
    "p90",
    "p95",
    "p99",
    "mean",
    "CV %",
    "frames/s",
    "MiB",
    "GPU MiB",
    "CPU J",
    "GPU J",
    "board J",
    "p50 ratio (95 %)",
)
TEXT_HEADINGS = ("engine", "backend", "precision", "boundary")
EMPTY = "-"


def table(records: Sequence[Record]) -> str:
    """Columns as wide as they need to be: a pipe or a narrow terminal cuts nothing off. Empty ones are left out."""
    padded = []
    for heading, *cells in columns(records):
        width = max(map(len, (heading, *cells)))
        align = str.ljust if heading in TEXT_HEADINGS else str.rjust
        padded.append([align(cell, width) for cell in (heading, *cells)])
    lines = ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def markdown(records: Sequence[Record]) -> str:
    """The same as a GitHub table, for the summary of a CI job."""
    shown = columns(records)
    rule = [":--" if heading in TEXT_HEADINGS else "--:" for heading, *_ in shown]
    heading, *rows = ([cell.replace("|", "\\|") for cell in row] for row in zip(*shown, strict=True))
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, rule, *rows))


def columns(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Heading and cells of each column that any row fills."""
    names, ratios = short_names(records), against_first(records)
    rows = (_cells(record, names[record.engine], ratio) for record, ratio in zip(records, ratios, strict=True))
    return [column for column in zip(HEADINGS, *rows, strict=True) if set(column[1:]) != {EMPTY}]


def verdicts(records: Sequence[Record]) -> list[str]:
    """Who is fastest at each size, batch and boundary, or that nobody can be said to be."""
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
    """Of each engine its cold start, and where its layers were timed the time of each block; empty if none were."""
    engines = {(record.engine, record.res, record.batch): record for record in records if record.profile is not None}
    if not engines:
        return ""
    names = short_names(records)
    told = {key: by_block(record.profile or ()) for key, record in engines.items()}
    blocks = dict.fromkeys(block for times in told.values() for block in times)
    rows = [("ms", *(f"{names[engine]} {res}, batch {batch}" for engine, res, batch in engines))]
    rows += [
        (f"start: {part}", *(_number(getattr(record.cold, f"{part}_ns") / 1e6, 1) for record in engines.values()))
        for part in ("libraries", "load", "first")
    ]
    rows += [
        (block, *(_number(ns / 1e6 if (ns := times.get(block)) else None, 3) for times in told.values()))
        for block in sorted(blocks, key=place_of)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def short_names(records: Sequence[Record]) -> dict[str, str]:
    """Engine -> how a table calls it: its file's name, or all that was typed where two files share a name."""
    engines = dict.fromkeys(record.engine for record in records)
    names = {engine: re.sub(r"^([\w-]+:)?.*/", r"\1", engine) for engine in engines}
    taken = list(names.values())
    return {engine: name if taken.count(name) == 1 else engine for engine, name in names.items()}


def _cells(record: Record, name: str, ratio: Ratio | None) -> tuple[str, ...]:
    latency = record.latency_ms
    return (
        name,
        f"{record.backend} ({record.provider})",
        record.precision.value,
        str(record.res),
        str(record.batch),
        record.boundary,
        _per_cent(record.miou, 2),
        _per_cent(record.miou_views, 2),
        _per_cent(record.boundary_f, 2),
        _differing(record.agreement),
        _number(latency.p50, 3),
        _number(latency.p90, 3),
        _number(latency.p95, 3),
        _number(latency.p99, 3),
        _number(latency.mean, 3),
        _per_cent(record.variation, 1),
        _number(record.throughput_fps, 1),
        _number(record.peak_memory_mib, 0),
        _number(record.device_memory_mib, 0),
        *(_number(joules, 4) for joules in record.joules_per_frame.values()),
        "1" if ratio is None else str(ratio),
    )


def _number(value: float | None, digits: int) -> str:
    return EMPTY if value is None else f"{value:.{digits}f}"


def _per_cent(value: float | None, digits: int) -> str:
    return _number(None if value is None else 100 * value, digits)


def _differing(found: Agreement | None) -> str:
    """Of the labels from the first engine's; in brackets those that no tie explains."""
    if found is None:
        return EMPTY
    clearly = found.differing_clearly
    return _per_cent(found.differing, 4) + ("" if clearly is None else f" ({_per_cent(clearly, 4)} clearly)")


def to_json(records: Sequence[Record], environment: Environment) -> dict[str, Any]:
    """Schema 1."""
    return {"schema": SCHEMA, "environment": asdict(environment), "rows": [_row(record) for record in records]}


def _row(record: Record) -> dict[str, Any]:
    return {
        "engine": record.engine,
        "backend": record.backend,
        "provider": record.provider,
        "precision": record.precision.value,
        "sha256": record.sha256,
        "res": list(record.res),
        "batch": record.batch,
        "boundary": record.boundary,
        "latency_ms": asdict(record.latency_ms),
        "samples": len(record.samples_ns),
        "throughput_fps": record.throughput_fps,
        "peak_memory_mib": record.peak_memory_mib,
        "miou": record.miou,
        "images": record.images,
        "iou": record.iou,
        "p50_ms_by_round": list(record.p50_ms_by_round),
        "pixel_accuracy": record.pixel_accuracy,
        "boundary_f": record.boundary_f,
        "differing": None if record.agreement is None else record.agreement.differing,
        "differing_clearly": None if record.agreement is None else record.agreement.differing_clearly,
        "variation": record.variation,
        "settled": record.settled,
        "file_bytes": record.file_bytes,
        "cold_start_ms": {
            "libraries": record.cold.libraries_ns / 1e6,
            "load": record.cold.load_ns / 1e6,
            "first": record.cold.first_ns / 1e6,
        },
        "device_memory_mib": record.device_memory_mib,
        "joules_per_frame": record.joules_per_frame,
        "clocks": {when: asdict(getattr(record.conditions, when)) for when in ("before", "during", "after")},
        "throttled": list(record.conditions.throttled),
        "miou_ms_flip": record.miou_views,
        "profile": None if record.profile is None else _profile(record.profile),
    }


def _profile(layers: Sequence[Layer]) -> dict[str, Any]:
    return {
        "blocks_ms": {block: ns / 1e6 for block, ns in by_block(layers).items()},
        "layers": [
            {"name": layer.name, "kind": layer.kind, "block": block_of(layer), "ms": layer.mean_ns / 1e6}
            for layer in layers
        ],
    }


def to_csv(records: Sequence[Record]) -> str:
    """The fields of the JSON's rows, one a column; a class's IoU is the column iou.NAME."""
    rows = [_flat(_row(record)) for record in records]
    columns = dict.fromkeys(column for row in rows for column in row)  # engines may differ in their classes
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    height, width = row["res"]
    blocks = {"block_ms": row["profile"]["blocks_ms"] if row["profile"] else {}}
    clocks = {f"clocks.{when}": told for when, told in row["clocks"].items()}
    tables = {field: row[field] for field in ("latency_ms", "iou", "cold_start_ms", "joules_per_frame")}
    nested = {
        f"{field}.{key}": value for field, told in {**tables, **clocks, **blocks}.items() for key, value in told.items()
    }
    left_out = {"res", "p50_ms_by_round", "clocks", "profile", *tables}
    plain = {field: value for field, value in row.items() if field not in left_out}
    plain["throttled"] = "; ".join(row["throttled"])
    return {**plain, "height_px": height, "width_px": width, **nested}
