"""The results of a part of the GPU run: one row a subject, with its figure or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import read_json, write_json
from cgnet_deploy.tables import text_table

SCHEMA = 1
MAX_RECORD_BYTES = 256 << 20
State = Literal["ran", "not run", "failed"]


@dataclass(frozen=True, slots=True)
class Result:
    """outcome: the figure of a row that ran, else why it didn't. details: numbers for the record, in JSON's types."""

    subject: str
    state: State
    outcome: str
    details: dict[str, Any] = field(default_factory=dict)


def write_record(path: Path, part: str, gpu: str, rows: Sequence[Result], seconds: float, where: Environment) -> None:
    """Write one part's record, atomically."""
    record = {
        "schema": SCHEMA,
        "part": part,
        "gpu": gpu,
        "seconds": round(seconds, 1),
        "environment": asdict(where),
        "rows": [asdict(row) for row in rows],
    }
    write_json(path, record)


def read_record(path: Path) -> list[Result]:
    """The rows of a record; none if there is no file. Raises CgnetError for a file that is no record."""
    try:
        if not path.exists():
            return []
        return [Result(**row) for row in read_json(path, MAX_RECORD_BYTES)["rows"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CgnetError(f"{path} is no record of the GPU run ({type(error).__name__}: {error}): remove it") from error


def table(rows: Sequence[tuple[str, Result]]) -> str:
    """Part, subject, state and outcome of each."""
    cells = ((part, row.subject, row.state, row.outcome) for part, row in rows)
    return text_table(("part", "what", "state", "figure, or why there is none"), cells)
