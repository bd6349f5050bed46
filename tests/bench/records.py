"""Rows made by hand, for the tests of what is derived from rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cgnet_deploy.bench.machine.conditions import Clocks, Conditions, Joules
from cgnet_deploy.bench.measure.latency import Boundary, Round
from cgnet_deploy.bench.report.record import ColdStart, Record
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.spec import Precision, Res

MS = 1_000_000
CLOCKS = Clocks(cpu_mhz=2600.0, gpu_mhz=None, gpu_memory_mhz=None, gpu_celsius=None)
NO_JOULES = Joules(None, None, None)


def record(
    engine: str = "a.onnx",
    rounds_ms: tuple[tuple[float, ...], ...] = ((1, 2, 3),),
    *,
    boundary: Boundary = "e2e",
    counts: Sequence[Sequence[int]] = (),
    batch: int = 1,
    settled: bool = True,
    gap_ms: float = 0,
    joules: Joules = NO_JOULES,
    throttled: tuple[str, ...] = (),
    profile: tuple[Layer, ...] | None = None,
) -> Record:
    """Samples in milliseconds, round by round; gap_ms: of idle time in each round."""
    rounds = tuple(
        Round(tuple(round(ms * MS) for ms in samples), round((sum(samples) + gap_ms) * MS)) for samples in rounds_ms
    )
    return Record(
        engine=engine,
        backend="onnxruntime",
        provider="CPU",
        precision=Precision.F16,
        sha256="ab" * 32,
        res=Res(1024, 2048),
        batch=batch,
        boundary=boundary,
        rounds=rounds,
        settled=settled,
        peak_memory_mib=123.5,
        class_names=("road", "sky", "car"),
        outlines=None,
        agreement=None,
        confusion=Confusion(np.asarray(counts, np.int64)) if counts else None,
        images=5 if counts else 0,
        file_bytes=2_000_000,
        cold=ColdStart(100 * MS, 20 * MS, 3 * MS),
        device_memory_mib=None,
        conditions=Conditions(CLOCKS, CLOCKS, CLOCKS, throttled, joules),
        views=None,
        profile=profile,
    )
