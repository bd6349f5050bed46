"""Whether a result is good enough for a CI job to pass: exit code 3 for accuracy, 4 for speed."""

from __future__ import annotations

from collections.abc import Sequence

from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import AccuracyError, PerformanceError


def check_miou(records: Sequence[Record], least: float) -> None:
    """Raise AccuracyError if any row's mIoU (0 to 1) is below `least`, or can't be said."""
    for record in records:
        if record.miou is None:
            raise AccuracyError(f"{record.engine}: no pixel could be scored, wanted an mIoU of at least {least}")
        if record.miou < least:
            raise AccuracyError(
                f"{record.engine}: mIoU {record.miou:.4f} is below {least}, over {record.images} images"
            )


def check_p50(records: Sequence[Record], most_ms: float) -> None:
    """Raise PerformanceError if any row's median latency is above `most_ms`."""
    for record in records:
        if (p50 := record.latency_ms.p50) > most_ms:
            raise PerformanceError(
                f"{record.engine}: p50 {p50:.3f} ms at boundary {record.boundary} is above {most_ms} ms"
            )
