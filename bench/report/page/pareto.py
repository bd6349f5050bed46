"""The chart of mIoU against p50, and the rows that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cgnet_deploy.bench.report.baseline import ALLOWED_DROP
from cgnet_deploy.bench.report.page.axes import time_axis
from cgnet_deploy.bench.report.page.figure import INK, LINE_PX, PAPER, SOFT, Chart, chart
from cgnet_deploy.bench.report.page.series import ReportRow


def front(rows: Sequence[ReportRow]) -> list[ReportRow]:
    """By latency: the rows for which no other row is as fast and as right.

    As right: to within 0.1 points of mIoU, which is what a regression gate lets pass. By exact figures, half of
    a table could be on the front for digits that mean nothing.
    """

    def beaten(row: ReportRow) -> bool:
        p50, miou = row.record.latency_ms.p50, row.record.miou or 0
        return any(
            other.record.latency_ms.p50 < p50 and (other.record.miou or 0) >= miou - ALLOWED_DROP for other in rows
        )

    return sorted((row for row in rows if not beaten(row)), key=lambda row: row.record.latency_ms.p50)


def pareto(name: str, rows: Sequence[ReportRow]) -> Chart:
    """mIoU against p50, one point a row; rows of several sizes may share it."""
    best = front(rows)
    sizes = len({row.record.res for row in rows}) > 1

    def paint(figure: Any, narrow: bool) -> None:
        axes = figure.add_subplot()
        latency = [row.record.latency_ms.p50 for row in rows]
        miou = [100 * (row.record.miou or 0) for row in rows]
        rounds = [ms for row in rows for ms in row.record.p50_ms_by_round]
        room = max(0.35 * (max(miou) - min(miou)), 1.0)
        axes.set_ylim(max(min(miou) - room, -1), min(max(miou) + room, 101))
        time_axis(axes, min(rounds), max(rounds), 0.16 if narrow else 0.1)
        axes.set_xlabel("p50 latency, ms  (left is faster)")
        axes.set_ylabel("mIoU, %  (up is better)")
        points = [(row.record.latency_ms.p50, 100 * (row.record.miou or 0)) for row in best]
        low, right = axes.get_ylim()[0], axes.get_xlim()[1]
        corners = [(points[0][0], low), *points, (right, points[-1][1])]
        axes.plot(
            *zip(*corners, strict=True), color=SOFT, linewidth=1.4, dashes=(5, 3), drawstyle="steps-post", zorder=1
        )
        for row, x, y in zip(rows, latency, miou, strict=True):
            ends = min(row.record.p50_ms_by_round), max(row.record.p50_ms_by_round)
            (spread,) = axes.plot(ends, (y, y), color=row.colour, linewidth=2, alpha=0.45, zorder=2)
            spread.set_gid(f"{row.gid}-spread")
            (point,) = axes.plot(
                x, y, row.marker, color=row.colour, markersize=11, markeredgecolor=PAPER, markeredgewidth=1.2, zorder=3
            )
            point.set_gid(row.gid)
        if narrow:
            labels = [f"{row.number}" + (f" {row.record.res}" if sizes else "") for row in rows]
        else:
            labels = [row.label() + (f"  {row.record.res}" if sizes else "") for row in rows]
        write_beside(figure, axes, list(zip(latency, miou, strict=True)), labels)

    note = (
        "One point an engine; the dashed line is the front: no engine left of it is as accurate to within "
        f"{100 * ALLOWED_DROP:.1f} points. Bars span the p50 of the rounds. The mIoU axis does not begin at 0."
    )
    return chart(name, "Accuracy against latency", note, (400, 330), paint)


def write_beside(figure: Any, axes: Any, points: Sequence[tuple[float, float]], labels: Sequence[str]) -> None:
    """A label to each point, where it covers neither a point nor another label, joined by a thin line."""
    figure.draw_without_rendering()  # the layout is settled by drawing only
    at_px = axes.transData.transform(points)
    frame = axes.get_window_extent()
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in at_px]
    for i in np.argsort(at_px[:, 0]):
        x, y = at_px[i]
        width = 6.6 * len(labels[i]) + 4
        left = min(max(x - 6, frame.x0 + 4), frame.x1 - width)
        boxes = [(left, y + dy, left + width, y + dy + LINE_PX) for step in range(9) for dy in offsets(step)]
        inside = [box for box in boxes if frame.y0 <= box[1] and box[3] <= frame.y1]
        free = [box for box in inside if not any(overlap(box, other) for other in taken)]
        box = (free or inside or boxes)[0]
        taken.append(box)
        text_at = axes.transData.inverted().transform(((box[0] + 2, box[1] + 3), (x, box[1] if box[1] > y else box[3])))
        axes.plot((points[i][0], text_at[1][0]), (points[i][1], text_at[1][1]), color=SOFT, linewidth=0.8, zorder=1.5)
        axes.text(*text_at[0], labels[i], color=INK, fontsize=11.5, zorder=4)


def offsets(step: int) -> tuple[float, float]:
    """Above the point, then below it, and further away at each step."""
    return 10.0 + (LINE_PX + 2) * step, -10.0 - LINE_PX - (LINE_PX + 2) * step


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
