"""Which engine is which, everywhere in a report: a number, a colour and a marker, kept from chart to chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cgnet_deploy.bench.report.compare import Kind, kind_of
from cgnet_deploy.bench.report.page.figure import MARKERS, SERIES
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.bench.report.table import short_names

MAX_LABEL = 34


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A record and how charts draw it. number: of its engine, from 1, in their order."""

    number: int
    name: str
    record: Record

    @property
    def colour(self) -> str:
        return SERIES[(self.number - 1) % len(SERIES)]

    @property
    def marker(self) -> str:
        # Shifted at each turn of the colours: engine 9 has engine 1's colour and another marker.
        return MARKERS[(self.number - 1 + (self.number - 1) // len(SERIES)) % len(MARKERS)]

    @property
    def gid(self) -> str:
        """What a drawing of it is called: the page's script finds all of an engine by the number at its end."""
        return f"engine-{self.number}"

    def label(self, most: int = MAX_LABEL) -> str:
        return f"{self.number}  {shortened(self.name, most)}"


def rows_of(records: Sequence[Record]) -> list[ReportRow]:
    """Numbered by engine: an engine that is listed twice counts as two."""
    names, numbers, seen = short_names(records), dict[tuple[str, int], int](), Counter[tuple[str, Kind]]()
    rows = []
    for record in records:
        seen[record.engine, kind_of(record)] += 1
        key = record.engine, seen[record.engine, kind_of(record)]
        number = numbers.setdefault(key, len(numbers) + 1)
        rows.append(ReportRow(number, names[record.engine], record))
    return rows


def shortened(text: str, most: int) -> str:
    """On one line and of at most so many characters, cut in the middle: both ends of a file's name tell something."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[-(most - 1 - head) :]}"
