"""A grid of sizes and batches, cell by cell; what an earlier, interrupted sweep has finished is not measured again.

All boundaries of a cell are measured while its engines are loaded, so each engine is loaded once a cell.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.measure.run import Show, run
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.report import jsonl
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.engines.open import backend_and_path
from cgnet_deploy.files import sha256_of
from cgnet_deploy.spec import Res

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grid:
    """Sizes and batches to go through; None for the engines' own. jsonl: the file that keeps the rows, if any."""

    sizes: Sequence[Res | None]
    batches: Sequence[int | None]
    jsonl: Path | None


def sweep(settings: Settings, grid: Grid, where: Environment, show: Show | None = None) -> tuple[Record, ...]:
    """The rows of every cell, in the order of the grid. Raises what `run` raises; finished cells stay in the file.

    show: called with pictures of each cell that is measured now: the file keeps none.
    """
    records: list[Record] = []
    for res in grid.sizes:
        for batch in grid.batches:
            records += _cell(replace(settings, res=res, batch=batch), grid.jsonl, where, show)
    return tuple(records)


def _cell(settings: Settings, path: Path | None, where: Environment, show: Show | None) -> Sequence[Record]:
    if path is None:
        return run(settings, show)
    request = in_words(settings, where)
    done = jsonl.read(path, request)
    if done:
        log.info(f"{done[0].res.spelled()}, batch {done[0].batch}: {len(done)} rows are in {path} already")
        return done
    records = run(settings, show)
    jsonl.append(path, records, request, where)
    return records


def in_words(settings: Settings, where: Environment) -> str:
    """All that makes a cell what it is: the settings, the content of the engines' files, the machine, its packages."""
    files = [sha256_of(backend_and_path(name)[1]) for name in settings.engines]
    machine = [where.cpu, where.cores, where.gpu and (where.gpu.name, where.gpu.driver), where.python, where.packages]
    return json.dumps([asdict(settings), files, machine])
