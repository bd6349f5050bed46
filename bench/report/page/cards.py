"""The answers at the top of the report: which engine is the fastest, the most accurate, the leanest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgnet_deploy.bench.report.compare import alike
from cgnet_deploy.bench.report.page.series import ReportRow


@dataclass(frozen=True, slots=True)
class Card:
    """One of the answers at the top."""

    title: str
    number: int | None
    value: str
    unit: str
    name: str
    more: str


def cards(rows: Sequence[ReportRow]) -> list[Card]:
    """Of the first rows that may be compared: the fastest, the most accurate, and the one to take."""
    first = next(iter(alike([row.record for row in rows]).values()))
    group = [row for row in rows if any(row.record is record for record in first)]
    fastest = min(group, key=lambda row: row.record.latency_ms.p50)
    base = group[0]
    cards = [
        Card(
            "Lowest latency",
            fastest.number,
            f"{fastest.record.latency_ms.p50:.1f}",
            "ms p50",
            fastest.name,
            _against(fastest, base),
        )
    ]
    scored = [row for row in group if row.record.miou is not None]
    if scored:
        best = max(scored, key=lambda row: row.record.miou or 0)
        least = min(row.record.miou or 0 for row in scored)
        spread = 100 * ((best.record.miou or 0) - least)
        cards.append(
            Card(
                "Highest mIoU",
                best.number,
                f"{100 * (best.record.miou or 0):.2f}",
                "%",
                best.name,
                f"all lie within {spread:.2f} points, over {best.record.images} images"
                if len(scored) > 1
                else f"over {best.record.images} images",
            )
        )
    leanest = min(group, key=lambda row: row.record.peak_memory_mib)
    cards.append(
        Card(
            "Least memory",
            leanest.number,
            f"{leanest.record.peak_memory_mib:.0f}",
            "MiB peak",
            leanest.name,
            "host memory of its process, libraries included",
        )
    )
    return cards


def _against(row: ReportRow, base: ReportRow) -> str:
    fps = f"{row.record.throughput_fps:.1f} frames a second"
    if row is base:
        return fps
    return f"{fps}, {base.record.latency_ms.p50 / row.record.latency_ms.p50:.2f} times as fast as {base.name}"
