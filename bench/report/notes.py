"""What a reader should know before quoting a row, each in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.spec import Res
from cgnet_deploy.stats import P99_SAMPLES

LAUNCH_BOUND = 1.25  # host over device: trtexec's "enqueue takes 0.8 of the GPU's time"
TRANSFER_BOUND = 2.0  # e2e over host: the copies take as long as the network
UNSTEADY = 0.1  # trtexec asks for 0.025 of a GPU with locked clocks, which no shared CPU keeps


def notes(records: Sequence[Record]) -> Iterator[str]:
    for engine, assumed in {record.engine: record.assumed for record in records if record.assumed}.items():
        yield f"note: {engine} doesn't say it, so this was assumed: {'; '.join(assumed)}"
    for record in records:
        row = f"note: {record.engine} at {record.boundary}"
        if record.variation > UNSTEADY:
            yield f"{row}: samples vary by {record.variation:.0%} (CV): is the machine busy, or changing its clock?"
        elif not record.settled:
            yield f"{row}: its time had not settled when the warm-up ended; --warmup gives it longer"
        if record.conditions.throttled:
            yield f"{row}: held back while it was timed: {', '.join(record.conditions.throttled)}"
    yield from _bound(records)
    if any(record.latency_ms.p99 is None for record in records):
        yield f"note: p99 needs {P99_SAMPLES} samples a row: --iterations {P99_SAMPLES}"


def _bound(records: Sequence[Record]) -> Iterator[str]:
    """What holds an engine back, as far as two boundaries of it tell."""
    p50: dict[tuple[str, Res, int, str], float] = {
        (record.engine, record.res, record.batch, record.boundary): record.latency_ms.p50 for record in records
    }
    for engine, res, batch in dict.fromkeys(key[:3] for key in p50):
        device, host, e2e = (p50.get((engine, res, batch, boundary)) for boundary in ("device", "host", "e2e"))
        if device and host and host > LAUNCH_BOUND * device:
            yield (
                f"note: {engine} is launch-bound: {host:.3f} ms to submit and wait, {device:.3f} ms of work; "
                "a smaller frame won't help, a CUDA graph or a larger batch may"
            )
        if host and e2e and e2e > TRANSFER_BOUND * host:
            yield (
                f"note: {engine} is transfer-bound: {e2e:.3f} ms from frame to labels, {host:.3f} ms of them in the "
                "network; copies and conversion take the rest"
            )
