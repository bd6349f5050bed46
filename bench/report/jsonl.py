"""Rows in a JSON Lines file, raw samples and counts included: one line a row, appended when its cell is done.

A cell is one size and one batch: all engines at all boundaries. What a killed run has finished is read back
and not measured again, if it was asked for in the same words (`asked`) of the same files (sha256).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.bench.accuracy.agreement import Agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.machine.conditions import Clocks, Conditions, Joules
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.machine.nvml import GpuDescription
from cgnet_deploy.bench.measure.latency import BOUNDARIES, Round
from cgnet_deploy.bench.report.record import ColdStart, Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.errors import UserError
from cgnet_deploy.spec import Precision, Res

MAX_BYTES = 1 << 30
SCHEMA = 2


def append(path: Path, records: Sequence[Record], asked: str, where: Environment) -> None:
    """Add a cell's rows in one write, and see it on the disk. A line that a kill cut short is removed first."""
    lines = "".join(
        json.dumps({"schema": SCHEMA, "asked": asked, "environment": asdict(where), **_fields(record)}) + "\n"
        for record in records
    )
    try:
        with path.open("ab+") as file:
            file.seek(0)
            file.truncate(len(_whole_lines(file.read())))
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def read(path: Path, asked: str) -> list[Record]:
    """The rows that were measured as `asked`, in the order written; none if there is no file yet.

    Raises UserError for a file that is no journal.
    """
    return [row.record for row in _rows(path) if row.asked == asked]


def read_last_run(path: Path) -> tuple[tuple[Record, ...], Environment]:
    """What the last command that wrote to the file has measured, in as many runs as it took, and where.

    Of a cell that was measured again, because a file had changed, the later rows. Raises UserError for a file
    that is no journal, or an empty one.
    """
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path} holds no row: name a file that --jsonl has written")
    where = rows[-1].where
    found = [row for row in rows if row.where.command == where.command]
    latest = {(row.record.res, row.record.batch, row.record.boundary): row.asked for row in found}
    records = tuple(row.record for row in found if row.asked in latest.values())
    if len({len(record.rounds) for record in records}) > 1:
        raise UserError(f"{path} holds rows of one run with unlike numbers of rounds: it was changed by hand")
    return records, where


@dataclass(frozen=True, slots=True)
class _Row:
    record: Record
    asked: str
    where: Environment


def _rows(path: Path) -> list[_Row]:
    """All that the file holds; nothing if there is no file. Raises UserError for a file that is no journal."""
    try:
        if not path.exists():
            return []
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB: name another file")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(_whole_lines(content).splitlines(), 1):
        try:
            row = json.loads(line)
            if row["schema"] != SCHEMA:
                raise ValueError(f"schema {row['schema']!r}, wanted {SCHEMA}")
            rows.append(_Row(_record(row), str(row["asked"]), _environment(row["environment"])))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}, is no row of cgnet-bench ({type(error).__name__}: {error}): name another file"
            ) from error
    return rows


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _fields(record: Record) -> dict[str, Any]:
    counts = {
        name: None if value is None else value.counts.tolist()
        for name, value in (
            ("confusion", record.confusion),
            ("outlines", record.outlines),
            ("agreement", record.agreement),
            ("views", record.views),
        )
    }
    return {
        "engine": record.engine,
        "backend": record.backend,
        "provider": record.provider,
        "precision": record.precision.value,
        "sha256": record.sha256,
        "res": list(record.res),
        "batch": record.batch,
        "boundary": record.boundary,
        "rounds": [asdict(taken) for taken in record.rounds],
        "settled": record.settled,
        "peak_memory_mib": record.peak_memory_mib,
        "class_names": list(record.class_names),
        "images": record.images,
        **counts,
        "file_bytes": record.file_bytes,
        "cold": asdict(record.cold),
        "device_memory_mib": record.device_memory_mib,
        "conditions": asdict(record.conditions),
        "profile": record.profile and [asdict(layer) for layer in record.profile],
    }


def _record(row: dict[str, Any]) -> Record:
    if row["boundary"] not in BOUNDARIES:
        raise ValueError(f"boundary {row['boundary']!r}")
    classes = len(row["class_names"])
    confusion, outlines = _counts(row["confusion"], classes, classes), _counts(row["outlines"], classes, 4)
    agreement = _counts(row["agreement"], len(row["agreement"] or ()), 2)
    views = _counts(row["views"], classes, classes)
    if not row["rounds"] or not all(taken["samples_ns"] and min(taken["samples_ns"]) > 0 for taken in row["rounds"]):
        raise ValueError("a round without samples")
    return Record(
        engine=str(row["engine"]),
        backend=str(row["backend"]),
        provider=str(row["provider"]),
        precision=Precision(row["precision"]),
        sha256=str(row["sha256"]),
        res=Res(*map(int, row["res"])),
        batch=int(row["batch"]),
        boundary=row["boundary"],
        rounds=tuple(Round(tuple(map(int, taken["samples_ns"])), int(taken["window_ns"])) for taken in row["rounds"]),
        settled=bool(row["settled"]),
        peak_memory_mib=float(row["peak_memory_mib"]),
        class_names=tuple(map(str, row["class_names"])),
        images=int(row["images"]),
        confusion=None if confusion is None else Confusion(confusion),
        outlines=None if outlines is None else Outlines(outlines),
        agreement=None if agreement is None else Agreement(agreement),
        file_bytes=int(row["file_bytes"]),
        cold=ColdStart(**{name: int(ns) for name, ns in row["cold"].items()}),
        device_memory_mib=_number(row["device_memory_mib"]),
        conditions=_conditions(row["conditions"]),
        views=None if views is None else Confusion(views),
        profile=None
        if row["profile"] is None
        else tuple(Layer(str(layer["name"]), str(layer["kind"]), float(layer["mean_ns"])) for layer in row["profile"]),
    )


def _environment(told: dict[str, Any]) -> Environment:
    lists = {name: tuple(map(str, told[name])) for name in ("command", "cpu_flags")}
    gpu = None if told["gpu"] is None else GpuDescription(**told["gpu"])
    return Environment(**{**told, **lists, "gpu": gpu})


def _conditions(told: dict[str, Any]) -> Conditions:
    before, during, after = (
        Clocks(**{name: _number(value) for name, value in told[when].items()}) for when in ("before", "during", "after")
    )
    joules = Joules(**{name: _number(value) for name, value in told["joules"].items()})
    return Conditions(before, during, after, tuple(map(str, told["throttled"])), joules)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _counts(value: Any, rows: int, columns: int) -> npt.NDArray[np.int64] | None:
    if value is None:
        return None
    counts = np.asarray(value, np.int64)
    if counts.shape != (rows, columns) or counts.min(initial=0) < 0:
        raise ValueError(f"counts of shape {counts.shape}, wanted {(rows, columns)}, none negative")
    return counts
