"""Engines of one run against each other.

    ratio of a turn = p50 of the engine in that turn / p50 of the first engine in the same turn

The two were timed one right after the other, so a machine that slows down over the run leaves their ratio
alone; what the ratio does from turn to turn is the noise.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cgnet_deploy.bench.latency import Round
from cgnet_deploy.bench.record import Record
from cgnet_deploy.bench.stats import percentile


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of latencies: below 1 is faster. low, high: over the turns."""

    median: float
    low: float
    high: float


def against_first(records: Sequence[Record]) -> list[Ratio | None]:
    """The ratio of each row to the first row of its boundary; None for that row itself."""
    first: dict[str, Record] = {}
    return [
        None if (base := first.setdefault(record.boundary, record)) is record else ratio(record.rounds, base.rounds)
        for record in records
    ]


def ratio(rounds: Sequence[Round], base: Sequence[Round]) -> Ratio:
    turns = [_p50(taken) / _p50(other) for taken, other in zip(rounds, base, strict=True)]
    return Ratio(statistics.median(turns), min(turns), max(turns))


def _p50(taken: Round) -> int:
    return percentile(sorted(taken.samples_ns), 50)
