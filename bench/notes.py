"""What a reader should know before quoting a row, each in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cgnet_deploy.bench.record import Record
from cgnet_deploy.bench.stats import P99_SAMPLES

UNSTEADY = 0.1  # trtexec asks for 0.025 of a GPU with locked clocks, which no shared CPU keeps


def notes(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        row = f"note: {record.engine} at {record.boundary}"
        if record.variation > UNSTEADY:
            yield f"{row}: samples vary by {record.variation:.0%} (CV): is the machine busy, or changing its clock?"
        elif not record.settled:
            yield f"{row}: its time had not settled when the warm-up ended; --warmup gives it longer"
    if any(record.latency_ms.p99 is None for record in records):
        yield f"note: p99 needs {P99_SAMPLES} samples a row: --iterations {P99_SAMPLES}"
