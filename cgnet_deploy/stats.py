"""What is derived from raw samples. Nothing here is ever stored in place of them.

A percentile is a sample, never an interpolation between two, as in trtexec: of n samples in rising order,

    percentile p = sample number n - 1 - floor(n * (100 - p) / 100), counted from 0

in whole numbers, so that p90 of 10 samples can't slip by one through rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

P99_SAMPLES = 1000  # of fewer, p99 is as good as the maximum


@dataclass(frozen=True, slots=True)
class LatencyMs:
    """All in milliseconds; p99 is None where there are too few samples to say it."""

    mean: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float | None
    max: float

    @classmethod
    def of(cls, samples_ns: Sequence[int]) -> LatencyMs:
        """Of at least one sample."""
        ordered = sorted(samples_ns)
        return cls(
            mean=sum(ordered) / len(ordered) / 1e6,
            min=ordered[0] / 1e6,
            p50=percentile(ordered, 50) / 1e6,
            p90=percentile(ordered, 90) / 1e6,
            p95=percentile(ordered, 95) / 1e6,
            p99=percentile(ordered, 99) / 1e6 if len(ordered) >= P99_SAMPLES else None,
            max=ordered[-1] / 1e6,
        )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The sample of `ordered` (rising, at least one) below or at which `percent` of them lie."""
    return ordered[max(len(ordered) - 1 - len(ordered) * (100 - percent) // 100, 0)]


def variation(samples_ns: Sequence[int]) -> float:
    """The coefficient of variation: standard deviation over mean; 0 for a single sample."""
    if len(samples_ns) < 2:
        return 0.0
    return float(np.std(samples_ns, ddof=1) / np.mean(samples_ns))
