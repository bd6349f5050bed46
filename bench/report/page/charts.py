"""The charts of a report, each from the rows that may be compared in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cgnet_deploy.bench.report.blocks import by_block, place_of
from cgnet_deploy.bench.report.page.axes import LOG_FROM, steps, time_axis
from cgnet_deploy.bench.report.page.figure import GRID, INK, LINE_PX, PAPER, SOFT, Chart, chart
from cgnet_deploy.bench.report.page.series import ReportRow, shortened
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.errors import require

BINS = 120


def latency(name: str, rows: Sequence[ReportRow]) -> Chart:
    """How the samples of each row are spread: a histogram, and where the percentiles lie."""

    def paint(figure: Any, narrow: bool) -> None:
        axes = figure.add_subplot()
        samples = [np.asarray(row.record.samples_ns) / 1e6 for row in rows]
        time_axis(axes, min(map(np.min, samples)), max(map(np.max, samples)), 0.03)
        logarithmic = axes.get_xscale() == "log"
        low, high = axes.get_xlim()
        edges = np.geomspace(low, high, BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)
        for place, (row, values) in enumerate(zip(rows, samples, strict=True)):
            base = len(rows) - 1 - place
            counts, _ = np.histogram(values, edges)
            heights = base + 0.58 * np.repeat(counts / counts.max(), 2)
            outline = np.repeat(edges, 2)[1:-1]
            filled = axes.fill_between(outline, base, heights, color=row.colour, alpha=0.3, linewidth=0)
            filled.set_gid(row.gid)
            (line,) = axes.plot(outline, heights, color=row.colour, linewidth=1.3)
            line.set_gid(f"{row.gid}-line")
            latency = row.record.latency_ms
            for value, height, width in ((latency.p50, 0.6, 2.4), (latency.p90, 0.3, 1.6), (latency.p95, 0.3, 1.6)):
                axes.plot((value, value), (base, base + height), color=INK, linewidth=width, solid_capstyle="butt")
            axes.plot(latency.max, base + 0.03, marker="|", color=INK, markersize=7, markeredgewidth=1.2)
            said = (
                f"{latency.p50:.1f} / {latency.p95:.1f}"
                if narrow
                else (f"p50 {latency.p50:.2f} · p90 {latency.p90:.2f} · p95 {latency.p95:.2f} · max {latency.max:.2f}")
            )
            across = axes.get_yaxis_transform()
            axes.text(0, base + 0.68, row.label(26 if narrow else 44), transform=across, color=INK, fontsize=12)
            axes.text(1, base + 0.68, said, transform=across, color=SOFT, fontsize=11.5, ha="right")
        axes.set_ylim(-0.1, len(rows))
        axes.set_yticks([])
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("latency, ms" + (" (logarithmic)" if logarithmic else ""))

    note = (
        "Every sample is in it: no outlier was dropped. The tall mark is p50, the short ones p90 and p95, the last the "
        "maximum. On a narrow screen the figures are p50 / p95."
    )
    return chart(name, "How latency is spread", note, (62 * len(rows) + 46, 62 * len(rows) + 46), paint)


def rounds(name: str, rows: Sequence[ReportRow]) -> Chart:
    """The p50 of each round: whether the machine drifted, and whether engines kept their order."""

    def paint(figure: Any, narrow: bool) -> None:
        axes = figure.add_subplot()
        ticker = require("matplotlib.ticker", extra="report")
        values = [ms for row in rows for ms in row.record.p50_ms_by_round]
        for row in rows:
            rounds = row.record.p50_ms_by_round
            (line,) = axes.plot(
                range(1, len(rounds) + 1),
                rounds,
                row.marker,
                ls="-",
                color=row.colour,
                markersize=6,
                linewidth=1.4,
                markeredgecolor=PAPER,
            )
            line.set_gid(row.gid)
        if max(values) > LOG_FROM * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=steps(min(values), max(values))))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
        else:
            axes.set_ylim(0, 1.08 * max(values))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.set_xlabel("round, the engines taking turns")
        axes.set_ylabel("p50, ms")
        number_ends(figure, axes, rows)

    note = "Lines that rise together are the machine slowing down; the ratios compare within a round, which cancels it."
    return chart(name, "Round by round", note, (280, 280), paint)


def number_ends(figure: Any, axes: Any, rows: Sequence[ReportRow]) -> None:
    """Each engine's number behind its last round; engines that are equally fast end at one point."""
    figure.draw_without_rendering()  # the layout is settled by drawing only
    ends = [(len(row.record.p50_ms_by_round), row.record.p50_ms_by_round[-1]) for row in rows]
    heights = axes.transData.transform(ends)[:, 1].tolist()
    for row, end, height, place in zip(rows, ends, heights, apart(heights, LINE_PX), strict=True):
        at = (9, place - height - 4)
        axes.annotate(str(row.number), end, at, textcoords="offset points", color=INK, fontsize=11)


def apart(heights: Sequence[float], least: float) -> list[float]:
    """The heights, in their order, at least so far apart: those that are nearer are spread about their mean."""
    groups: list[list[int]] = []

    def bottom(group: list[int]) -> float:
        return sum(heights[i] for i in group) / len(group) - least * (len(group) - 1) / 2

    for i in sorted(range(len(heights)), key=heights.__getitem__):
        groups.append([i])
        while len(groups) > 1 and bottom(groups[-1]) < bottom(groups[-2]) + least * len(groups[-2]):
            upper = groups.pop()
            groups[-1] += upper
    places = {i: bottom(group) + least * place for group in groups for place, i in enumerate(group)}
    return [places[i] for i in range(len(heights))]


def classes(name: str, rows: Sequence[ReportRow]) -> Chart:
    """IoU of each class that occurs."""
    iou = [row.record.iou for row in rows]
    names = [label for label, value in iou[0].items() if value is not None]
    values = [[100 * (of_class.get(label) or 0) for label in names] for of_class in iou]
    low = min(10 * (min(map(min, values)) // 10), 90)
    return dots(
        name, "IoU of each class", "From the same files that were timed.", names, rows, values, "IoU, %", (low, 100)
    )


def parts(name: str, rows: Sequence[ReportRow]) -> Chart:
    """Time by part of the network, of rows that have a profile."""
    parts = [by_part(row.record.profile or ()) for row in rows]
    names = sorted({part for of_row in parts for part in of_row}, key=place_of)
    values = [[of_row.get(part, 0.0) / 1e6 for part in names] for of_row in parts]
    note = (
        "From a profile, taken in a run of its own: profiling costs time, so the sum is not the latency above. What no "
        "runtime names after a block of the network is \u201cother\u201d."
    )
    most = 1.06 * max(map(max, values))
    return dots(name, "Time by part of the network", note, names, rows, values, "ms an inference", (0, most))


def by_part(layers: Sequence[Layer]) -> dict[str, float]:
    """Mean ns of each block, the blocks of a stage taken together."""
    totals: dict[str, float] = {}
    for block, ns in by_block(layers).items():
        totals[block.partition(".")[0]] = totals.get(block.partition(".")[0], 0.0) + ns
    return totals


def dots(
    name: str,
    title: str,
    note: str,
    names: Sequence[str],
    rows: Sequence[ReportRow],
    values: Sequence[Sequence[float]],
    unit: str,
    span: tuple[float, float],
) -> Chart:
    """One line a name, on it one mark an engine. values: of each row, by name."""
    height = len(names) * (14 + 5 * len(rows)) + 50

    def paint(figure: Any, narrow: bool) -> None:
        axes = figure.add_subplot()
        for place, (row, of_row) in enumerate(zip(rows, values, strict=True)):
            shift = 0.34 - 0.68 * (place + 0.5) / len(rows)
            at = [len(names) - 1 - i + shift for i in range(len(names))]
            (marks,) = axes.plot(
                of_row,
                at,
                row.marker,
                color=row.colour,
                markersize=6.5,
                markeredgecolor=PAPER,
                markeredgewidth=0.7,
                clip_on=False,
            )
            marks.set_gid(row.gid)
        for line in range(1, len(names)):
            axes.axhline(line - 0.5, color=GRID, linewidth=1)
        axes.set_yticks(range(len(names)), [shortened(label, 16) for label in reversed(names)])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(False, axis="y")
        axes.set_ylim(-0.5, len(names) - 0.5)
        axes.set_xlim(*span)
        axes.set_xlabel(unit)

    return chart(name, title, note, (height, height), paint)


def cold_start(name: str, rows: Sequence[ReportRow]) -> Chart:
    """How long a fresh process takes to its first labels."""

    def paint(figure: Any, narrow: bool) -> None:
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            base, cold = len(rows) - 1 - place, row.record.cold
            steps_ms = [ns / 1e6 for ns in (cold.libraries_ns, cold.load_ns, cold.first_ns)]
            left = 0.0
            for step, step_ms, alpha in zip(("libraries", "load", "first"), steps_ms, (0.3, 0.6, 1.0), strict=True):
                bar = axes.barh(base + 0.22, step_ms, 0.36, left, color=row.colour, alpha=alpha, linewidth=0)[0]
                bar.set_gid(f"{row.gid}-{step}")
                left += step_ms
            said = " + ".join(f"{step_ms:.0f}" for step_ms in steps_ms)
            across = axes.get_yaxis_transform()
            axes.text(0, base + 0.55, row.label(26 if narrow else 44), transform=across, color=INK, fontsize=12)
            axes.text(1, base + 0.55, f"{said} ms", transform=across, color=SOFT, fontsize=11.5, ha="right")
        axes.set_ylim(-0.1, len(rows))
        axes.set_yticks([])
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("ms from a fresh process to the first labels")

    note = "From light to dark: the runtime's libraries, reading or compiling the file, and the first inference."
    return chart(name, "Cold start", note, (52 * len(rows) + 46, 52 * len(rows) + 46), paint)
