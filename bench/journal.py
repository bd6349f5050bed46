"""Rows in a JSON Lines file, raw samples and counts included: one line a row, appended when its cell is done.

A cell is one size and one batch: all engines at all boundaries. What a killed run has finished is read back
and not measured again, if it was asked for in the same words (`asked`) of the same files (sha256).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.bench.agreement import Agreement
from cgnet_deploy.bench.boundary import Outlines
from cgnet_deploy.bench.environment import Environment
from cgnet_deploy.bench.latency import BOUNDARIES, Round
from cgnet_deploy.bench.record import Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.errors import UserError
from cgnet_deploy.spec import Precision, Res

MAX_BYTES = 1 << 30
SCHEMA = 1


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
    try:
        if not path.exists():
            return []
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB: name another file")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    records = []
    for number, line in enumerate(_whole_lines(content).splitlines(), 1):
        try:
            row = json.loads(line)
            if row["schema"] != SCHEMA:
                raise ValueError(f"schema {row['schema']!r}, wanted {SCHEMA}")
            if row["asked"] == asked:
                records.append(_record(row))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}, is no row of cgnet-bench ({type(error).__name__}: {error}): name another file"
            ) from error
    return records


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _fields(record: Record) -> dict[str, Any]:
    counts = {
        name: None if value is None else value.counts.tolist()
        for name, value in (
            ("confusion", record.confusion), ("outlines", record.outlines), ("agreement", record.agreement),
        )
    }  # fmt: skip
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
    }


def _record(row: dict[str, Any]) -> Record:
    if row["boundary"] not in BOUNDARIES:
        raise ValueError(f"boundary {row['boundary']!r}")
    confusion, outlines, agreement = (_counts(row[name]) for name in ("confusion", "outlines", "agreement"))
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
    )


def _counts(value: Any) -> npt.NDArray[np.int64] | None:
    return None if value is None else np.asarray(value, np.int64)
