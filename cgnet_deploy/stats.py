"""Statistics of raw samples; only the samples are ever stored.

A percentile is a sample, never an interpolation between two, as in trtexec: of n samples in rising order,

    percentile p = sample number n - 1 - floor(n * (100 - p) / 100), counted from 0

in integers, so that p90 of 10 samples can't slip by one through rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

DRAWS = 10_000
SEED = 0  # the same samples give the same interval
P99_SAMPLES = 1000  # of fewer, p99 is as good as the maximum


@dataclass(frozen=True, slots=True)
class LatencyMs:
    """All in milliseconds; p99 is None where there are too few samples."""

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


def bootstrap(
    statistic: Callable[..., F64], *samples: Sequence[float] | npt.NDArray[Any], draws: int = DRAWS, unseen: float = 0.0
) -> tuple[float, float]:
    """The 95 % interval of a statistic under resampling with replacement.

    statistic: takes (draws, n) values for each of `samples`, which are drawn apart, and gives (draws,) values.
    unseen: the deviation, of the statistic's logarithm, that all samples share and therefore can't show.
    """
    rng = np.random.default_rng(SEED)
    drawn = [np.asarray(sample)[rng.integers(len(sample), size=(draws, len(sample)))] for sample in samples]
    values = statistic(*drawn) * np.exp(unseen * rng.standard_normal(draws))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)
