"""Whether a run is worse than an earlier one on the same machine, beyond the noise of both.

    slower     the 95 % interval of (p50 now / p50 then) lies above 1.05; each side's rounds are drawn apart
    less right mIoU has fallen by more than 0.1 points

The 5 % are what two runs of one file differ by when nothing has changed: memory is laid out anew for each
process, which no round within a run can show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.compare import Ratio, medians
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import AccuracyError, PerformanceError, UsageError, UserError
from cgnet_deploy.files import read_json
from cgnet_deploy.stats import bootstrap

MAX_BYTES = 64 << 20
ALLOWED_RATIO = 1.05
ALLOWED_DROP = 0.001  # mIoU, 0 to 1

Key = tuple[str, str, str, tuple[int, ...], int, str]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """What is compared of a row: the p50 of each round, and mIoU (0 to 1) over so many images, if scored."""

    p50_ms_by_round: tuple[float, ...]
    miou: float | None
    images: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier result: the machine, and what its rows said."""

    path: Path
    cpu: str
    cores: int
    threads: int
    rows: dict[Key, BaselineRow]


def read_baseline(path: Path) -> Baseline:
    """The JSON of an earlier `cgnet-bench --json`. Raises UserError for anything else."""
    try:
        data = read_json(path, MAX_BYTES)
        machine = data["environment"]
        return Baseline(
            path, str(machine["cpu"]), int(machine["cores"]), int(machine["threads"]), dict(map(_row, data["rows"]))
        )
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not a result of cgnet-bench --json ({type(error).__name__}: {error}); write it again"
        ) from error


def _row(row: dict[str, Any]) -> tuple[Key, BaselineRow]:
    rounds = tuple(float(value) for value in row["p50_ms_by_round"])
    if not rounds or not all(0 < value < float("inf") for value in rounds):
        raise ValueError("p50_ms_by_round is not a list of positive numbers")
    key = (row["engine"], row["backend"], row["precision"], tuple(row["res"]), row["batch"], row["boundary"])
    return key, BaselineRow(rounds, None if row["miou"] is None else float(row["miou"]), int(row["images"]))


def check_against(baseline: Baseline, records: Sequence[Record], here: Environment) -> None:
    """Raise AccuracyError or PerformanceError for the first row that is worse, UsageError for unlike runs."""
    if (baseline.cpu, baseline.cores, baseline.threads) != (here.cpu, here.cores, here.threads):
        raise UsageError(
            f"{baseline.path} was measured on {baseline.cpu}, {baseline.cores} cores, {baseline.threads} threads, this "
            f"on {here.cpu}, {here.cores} cores, {here.threads} threads: latencies of unlike machines are not compared"
        )
    pairs = [(record, baseline.rows[key]) for record in records if (key := _key(record)) in baseline.rows]
    if not pairs:
        raise UsageError(f"{baseline.path} has no row of any engine, size, batch and boundary that was measured here")
    for record, then in pairs:
        _check_miou(record, then, baseline.path)
    for record, then in pairs:
        ratio = ratio_between(record.p50_ms_by_round, then.p50_ms_by_round)
        if ratio.low > ALLOWED_RATIO:
            raise PerformanceError(
                f"{record.engine} at {record.boundary}: p50 is {ratio} of that in {baseline.path}: "
                f"slower by more than noise and {ALLOWED_RATIO - 1:.0%}"
            )


def _check_miou(record: Record, then: BaselineRow, path: Path) -> None:
    if record.miou is None or then.miou is None:
        return
    if record.images != then.images:
        raise UsageError(
            f"{record.engine}: {record.images} images scored, {then.images} in {path}: give the same --limit"
        )
    if record.miou < then.miou - ALLOWED_DROP:
        raise AccuracyError(
            f"{record.engine}: mIoU {record.miou:.4f}, it was {then.miou:.4f} in {path}: down more than {ALLOWED_DROP}"
        )


def ratio_between(now: Sequence[float], then: Sequence[float]) -> Ratio:
    """Of the medians of rounds that were not taken together, so each side is drawn for itself."""
    low, high = bootstrap(lambda these, those: medians(these) / medians(those), now, then)
    return Ratio(float(np.median(now) / np.median(then)), low, high)


def _key(record: Record) -> Key:
    return (record.engine, record.backend, record.precision.value, tuple(record.res), record.batch, record.boundary)
