"""Rows in a JSON Lines file, raw samples and counts included: one line a row, appended when its cell is done.

A cell is one size and one batch: all engines at all boundaries. What a killed run has finished is read back and not
measured again, if it was asked for in the same words (`asked`) of the same files (sha256).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy import codec
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import UserError
from cgnet_deploy.lookup import exists
from cgnet_deploy.places import unwritten

MAX_BYTES = 1 << 30
SCHEMA = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file, the oldest first."""

    schema: int
    asked: str
    environment: Environment
    record: Record


def append(path: Path, records: Sequence[Record], asked: str, where: Environment) -> None:
    """Add a cell's rows in one write, and see it on the disk. A line that a kill cut short is removed first."""
    lines = "".join(f"{codec.dumps(Line(SCHEMA, asked, where, record))}\n" for record in records)
    try:
        with path.open("ab+") as file:
            file.seek(0)
            file.truncate(len(_complete_lines(file.read())))
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritten(path, error) from error


def read(path: Path, asked: str) -> list[Record]:
    """The rows that were measured as `asked`, in the order written; none if there is no file yet.

    Raises UserError for a file that --jsonl has not written.
    """
    return [line.record for line in _lines(path) if line.asked == asked]


def read_last_run(path: Path) -> tuple[tuple[Record, ...], Environment]:
    """What the last command that wrote to the file has measured, in as many runs as it took, and where.

    Of a cell that was measured again, because a file had changed, the later rows. Raises UserError for a file that
    --jsonl has not written, or an empty one.
    """
    lines = _lines(path)
    if not lines:
        raise UserError(f"{path} holds no row: name a file that --jsonl has written")
    where = lines[-1].environment
    run = [line for line in lines if line.environment.command == where.command]
    latest = {(line.record.res, line.record.batch, line.record.boundary): line.asked for line in run}
    records = tuple(line.record for line in run if line.asked in latest.values())
    if len({len(record.rounds) for record in records}) > 1:
        raise UserError(f"{path} holds rows of one run with unlike numbers of rounds: it was changed by hand")
    return records, where


def _lines(path: Path) -> list[Line]:
    """All that the file holds; nothing if there is no file. Raises UserError for a file of another kind."""
    try:
        if not exists(path):
            return []
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB: name another file")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    lines = []
    for number, text in enumerate(_complete_lines(content).splitlines(), 1):
        try:
            line = codec.loads(Line, text)
            if line.schema != SCHEMA:
                raise ValueError(f"schema {line.schema}, wanted {SCHEMA}")
            _check(line.record)
            lines.append(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}, is no row of cgnet-bench ({error}): name another file") from error
    return lines


def _check(record: Record) -> None:
    """Raise ValueError for counts and samples that no benchmark gives."""
    classes = len(record.class_names)
    for counts, shape in (
        (record.confusion, (classes, classes)),
        (record.views, (classes, classes)),
        (record.outlines, (classes, 4)),
    ):
        if counts is not None and (counts.counts.shape != shape or counts.counts.min(initial=0) < 0):
            raise ValueError(f"counts of shape {counts.counts.shape}, wanted {shape}, none negative")
    agreement = None if record.agreement is None else record.agreement.counts
    if agreement is not None and (agreement.shape[1:] != (2,) or agreement.min(initial=0) < 0):
        raise ValueError(f"counts of shape {agreement.shape}, wanted two columns, none negative")
    if not record.rounds or not all(taken.samples_ns and min(taken.samples_ns) > 0 for taken in record.rounds):
        raise ValueError("a round without samples")


def _complete_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
