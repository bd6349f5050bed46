"""Engines of one run against each other, and when a difference may be called one.

    ratio of a round  p50 of the engine in that round / p50 of the base in the same round
    ratio             the median of the rounds
    interval          2.5 % to 97.5 % of 10,000 draws: the median of a bootstrap draw of rounds, with replacement,
                      times what two processes differ by

The two were timed one right after the other, so a machine that slows down over the run leaves their ratio
alone. Rounds are drawn and not samples: samples of one round share its luck, and would make any difference look
certain. Nor do rounds show that memory is laid out anew for each process: the same engine twice differs by 2 % now
and then, in every round alike, where the rounds themselves vary by half of that (tools/selftest.py). So each process is
taken for a draw too, with a deviation of 1 %. A winner is named only where the intervals of its ratios to all
others lie below 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.spec import Res
from cgnet_deploy.stats import F64, bootstrap

Kind = tuple[Res, int, Boundary]

BETWEEN_PROCESSES = 0.01  # standard deviation of the logarithm of p50


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of latencies: below 1 is faster. low, high: the 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(record: Record, base: Record) -> Ratio:
    """Of two rows whose rounds were taken in turn."""
    return ratio_of_rounds(record.p50_ms_by_round, base.p50_ms_by_round)


def ratio_of_rounds(p50_ms: Sequence[float], base_ms: Sequence[float]) -> Ratio:
    """Of the p50 of rounds that were taken in turn."""
    rounds = [mine / other for mine, other in zip(p50_ms, base_ms, strict=True)]
    low, high = bootstrap(medians, rounds, unseen=2**0.5 * BETWEEN_PROCESSES)
    return Ratio(float(np.median(rounds)), low, high)


def medians(drawn: F64) -> F64:
    """(draws, n) -> (draws,)."""
    return np.asarray(np.median(drawn, axis=1))


def against_first(records: Sequence[Record]) -> list[Ratio | None]:
    """The ratio of each row to the first of the rows that are like it; None for that row itself."""
    bases = {kind: rows[0] for kind, rows in alike(records).items()}
    return [None if record is (base := bases[kind_of(record)]) else ratio(record, base) for record in records]


def fastest(records: Sequence[Record]) -> Iterator[tuple[Record, list[tuple[Record, Ratio]]]]:
    """Of rows that are alike, where there are several: the one of the lowest p50, and its ratio to the others."""
    for rows in alike(records).values():
        best = min(rows, key=lambda row: row.latency_ms.p50)
        if others := [(row, ratio(best, row)) for row in rows if row is not best]:
            yield best, others


def alike(records: Sequence[Record]) -> dict[Kind, list[Record]]:
    """The rows that may be compared: of one size, batch and boundary."""
    groups: dict[Kind, list[Record]] = {}
    for record in records:
        groups.setdefault(kind_of(record), []).append(record)
    return groups


def kind_of(record: Record) -> Kind:
    return record.res, record.batch, record.boundary
