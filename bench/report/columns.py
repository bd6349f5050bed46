"""Every figure of a row, in the order in which it is shown: what a new column needs is one entry in COLUMNS.

The terminal's table, Markdown, JSON, CSV, the HTML report and the table in docs/bench.md are made from it. A JSONL
file holds the raw `Record` instead, from which all of this is derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgnet_deploy import codec
from cgnet_deploy.bench.report.blocks import block_of, by_block
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.engines.base import Layer

EMPTY = "-"  # in tables: not known, or not measured


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a row.

    key: its name in JSON, where a dot goes one level down, and in CSV; empty for tables only. value: of a record; None
    where it isn't known. help: what it is, with its unit. heading: in tables; empty for JSON and CSV only. show: how a
    table formats the value. text: aligned left. hover: also shown where a reader points at an engine in the report.
    csv: makes several columns of one value.
    """

    key: str
    value: Callable[[Record], Any]
    help: str
    heading: str = ""
    show: str = ""
    text: bool = False
    hover: bool = False
    csv: Callable[[Any], Mapping[str, Any]] | None = None

    def cell(self, record: Record) -> str:
        """As a table shows it; a share is shown in per cent, as papers print it."""
        value = self.value(record)
        return EMPTY if value is None else format(value, self.show).removesuffix("%")


def clearly_differing(record: Record) -> str | None:
    """Of the labels, those that differ from the first engine's; in brackets those that no tie explains."""
    if record.agreement is None:
        return None
    clearly = record.agreement.differing_clearly
    return f"{100 * record.agreement.differing:.4f}" + ("" if clearly is None else f" ({100 * clearly:.4f} clearly)")


def profile(layers: Sequence[Layer]) -> dict[str, Any]:
    """Milliseconds per inference, by block of the network and by layer."""
    return {
        "blocks_ms": {block: ns / 1e6 for block, ns in by_block(layers).items()},
        "layers": [
            {"name": layer.name, "kind": layer.kind, "block": block_of(layer), "ms": layer.mean_ns / 1e6}
            for layer in layers
        ],
    }


COLUMNS: tuple[Column, ...] = (
    Column("engine", lambda row: row.engine, "the engine, as it was named on the command line"),
    Column("backend", lambda row: row.backend, "the runtime"),
    Column("provider", lambda row: row.provider, "what the runtime really executes on"),
    Column(
        "",
        lambda row: f"{row.backend} ({row.provider})",
        "the runtime, and in brackets what it really executes on",
        "backend",
        text=True,
    ),
    Column("precision", lambda row: row.precision.value, "`f32`, `f16` or `int8`", "precision", text=True),
    Column("sha256", lambda row: row.sha256, "of the file that was timed and scored"),
    Column("file_bytes", lambda row: row.file_bytes, "size of that file"),
    Column(
        "res",
        lambda row: row.res,
        "frame size in pixels, height first; `height_px` and `width_px` in CSV",
        "HxW",
        csv=lambda res: dict(zip(("height_px", "width_px"), res, strict=True)),
    ),
    Column("assumed", lambda row: row.assumed, "of a file from elsewhere: what neither it nor a flag says"),
    Column("batch", lambda row: row.batch, "frames per inference", "batch"),
    Column("boundary", lambda row: row.boundary, "what a sample spans, see above", "boundary", text=True),
    Column("images", lambda row: row.images, "images scored; 0 without `--data`"),
    Column(
        "miou",
        lambda row: row.miou,
        "mean IoU over all images of `--data`, 0 to 1; labels are compared at the size of the truth",
        "mIoU %",
        ".2%",
        hover=True,
    ),
    Column(
        "miou_ms_flip",
        lambda row: row.miou_views,
        "mIoU over 12 views of each image (`--ms-flip`), as papers print it, 0 to 1",
        "ms+flip %",
        ".2%",
    ),
    Column("pixel_accuracy", lambda row: row.pixel_accuracy, "share of pixels labelled right, 0 to 1"),
    Column(
        "boundary_f",
        lambda row: row.boundary_f,
        "boundary F-score (`--outlines`): how well the outlines of classes are met, 0 to 1",
        "outline F %",
        ".2%",
    ),
    Column("iou", lambda row: row.iou, "IoU of each class by name, 0 to 1; null for a class that occurs nowhere"),
    Column(
        "differing",
        lambda row: row.agreement and row.agreement.differing,
        "share of pixels labelled differently from the first engine, 0 to 1",
    ),
    Column(
        "differing_clearly",
        lambda row: row.agreement and row.agreement.differing_clearly,
        "share of pixels that differ although the first engine was sure, 0 to 1",
    ),
    Column("", clearly_differing, "both of these; `clearly`: no tie of scores explains them", "differs %", hover=True),
    Column("samples", lambda row: len(row.samples_ns), "how many inferences were timed"),
    Column(
        "latency_ms.p50", lambda row: row.latency_ms.p50, "median latency of one batch, ms", "p50 ms", ".3f", hover=True
    ),
    Column("latency_ms.p90", lambda row: row.latency_ms.p90, "its 90th percentile, ms", "p90", ".3f"),
    Column("latency_ms.p95", lambda row: row.latency_ms.p95, "its 95th percentile, ms", "p95", ".3f", hover=True),
    Column(
        "latency_ms.p99", lambda row: row.latency_ms.p99, "its 99th percentile, ms; needs 1000 samples", "p99", ".3f"
    ),
    Column("latency_ms.mean", lambda row: row.latency_ms.mean, "its mean, ms", "mean", ".3f"),
    Column("latency_ms.min", lambda row: row.latency_ms.min, "the fastest sample, ms"),
    Column("latency_ms.max", lambda row: row.latency_ms.max, "the slowest sample, ms"),
    Column(
        "p50_ms_by_round", lambda row: row.p50_ms_by_round, "the p50 of each round, ms: what two runs are compared by"
    ),
    Column(
        "variation",
        lambda row: row.variation,
        "coefficient of variation of the samples, 0 to 1; above 0.1, is the machine busy?",
        "CV %",
        ".1%",
    ),
    Column("settled", lambda row: row.settled, "whether the first warm-up ended in windows that agree"),
    Column(
        "throughput_fps",
        lambda row: row.throughput_fps,
        "frames per second of the time that the rounds took, gaps included",
        "frames/s",
        ".1f",
        hover=True,
    ),
    Column(
        "peak_memory_mib",
        lambda row: row.peak_memory_mib,
        "peak resident memory of the engine's process, libraries included, MiB",
        "MiB",
        ".0f",
    ),
    Column(
        "device_memory_mib",
        lambda row: row.device_memory_mib,
        "growth of the GPU's used memory while the engine was loaded and warmed up, MiB",
        "GPU MiB",
        ".0f",
    ),
    Column("cold_start_ms.libraries", lambda row: row.cold.libraries_ns / 1e6, "to import the runtime, ms"),
    Column("cold_start_ms.load", lambda row: row.cold.load_ns / 1e6, "to read, build or compile the file, ms"),
    Column("cold_start_ms.first", lambda row: row.cold.first_ns / 1e6, "the very first inference, ms"),
    Column(
        "joules_per_frame.cpu",
        lambda row: row.joules_per_frame["cpu"],
        "energy of all CPU packages, J; counters include other programs and idle parts",
        "CPU J",
        ".4f",
    ),
    Column("joules_per_frame.gpu", lambda row: row.joules_per_frame["gpu"], "energy of the GPU, J", "GPU J", ".4f"),
    Column(
        "joules_per_frame.board", lambda row: row.joules_per_frame["board"], "energy of the board, J", "board J", ".4f"
    ),
    Column(
        "clocks",
        lambda row: {when: getattr(row.conditions, when) for when in ("before", "during", "after")},
        "`before`, `during` and `after`: `cpu_mhz`, `gpu_mhz`, `gpu_memory_mhz`, `gpu_celsius`",
    ),
    Column("throttled", lambda row: row.conditions.throttled, "what was held back during the run, and by what"),
    Column(
        "profile",
        lambda row: None if row.profile is None else profile(row.profile),
        "with `--profile`: `blocks_ms`, and `layers` with `name`, `kind`, `block`, `ms`; `block_ms.NAME` in CSV",
        csv=lambda profiled: (
            {f"block_ms.{block}": ms for block, ms in profiled["blocks_ms"].items()} if profiled else {}
        ),
    ),
)


def json_row(record: Record) -> dict[str, Any]:
    """A row of the JSON, schema 1."""
    row: dict[str, Any] = {}
    for column in COLUMNS:
        if column.key:
            *above, name = column.key.split(".")
            place = row
            for level in above:
                place = place.setdefault(level, {})
            place[name] = codec.to_json(column.value(record))
    return row


def csv_row(record: Record) -> dict[str, Any]:
    """The same, flat: `latency_ms.p50`, `iou.road`; lists are joined by semicolons."""
    row: dict[str, Any] = {}
    for column in COLUMNS:
        if column.key:
            value = codec.to_json(column.value(record))
            row |= column.csv(value) if column.csv else flat(column.key, value)
    return row


def flat(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: cell for part, inner in value.items() for name, cell in flat(f"{key}.{part}", inner).items()}
    return {key: "; ".join(map(str, value)) if isinstance(value, list) else value}


def described() -> str:
    """COLUMNS as the Markdown table that docs/bench.md holds."""
    lines = ["| JSON and CSV | table | what it is |", "|---|---|---|"]
    for column in COLUMNS:
        key, heading = (f"`{name}`" if name else "" for name in (column.key, column.heading))
        lines.append(f"| {key} | {heading} | {column.help} |")
    return "\n".join(lines) + "\n"
