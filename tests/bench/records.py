"""Rows made by hand, for the tests of what is derived from rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cgnet_deploy.bench.latency import Boundary, Round
from cgnet_deploy.bench.record import Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.spec import Precision, Res

MS = 1_000_000


def record(
    engine: str = "a.onnx",
    rounds_ms: tuple[tuple[float, ...], ...] = ((1, 2, 3),),
    *,
    boundary: Boundary = "e2e",
    counts: Sequence[Sequence[int]] = (),
    batch: int = 1,
    settled: bool = True,
    gap_ms: float = 0,
) -> Record:
    """Samples in milliseconds, round by round; gap_ms: of idle time in each round."""
    rounds = tuple(
        Round(tuple(round(ms * MS) for ms in samples), round((sum(samples) + gap_ms) * MS)) for samples in rounds_ms
    )
    return Record(
        engine=engine, backend="onnxruntime", provider="CPU", precision=Precision.F16, sha256="ab" * 32,
        res=Res(1024, 2048), batch=batch, boundary=boundary, rounds=rounds, settled=settled, peak_memory_mib=123.5,
        class_names=("road", "sky", "car"),
        outlines=None, agreement=None,
        confusion=Confusion(np.asarray(counts, np.int64)) if counts else None, images=5 if counts else 0,
    )  # fmt: skip
