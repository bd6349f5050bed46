"""How large the values of a tensor get, and the scale that this asks for.

A symmetric int8 number is q = clamp(round(x / s), -127, 127) and stands for s q. The scale s of a tensor is chosen
from the histogram of |x| over calibration frames, as a threshold t = 127 s above which values are clipped:

    mse         t minimises  sum_i n_i (x_i - s q(x_i))^2
    percentile  99.999 % of all values lie below t
    max         t = max |x|
    entropy     t minimises the KL divergence of the 128 levels from the clipped histogram

CGNet's features have long tails (the largest value of the first one is twice its 99.99th percentile), so max wastes
levels; they hold many exact zeros, which entropy takes for a reason to clip far too much. docs/int8.md measures it.

A histogram's top is a power of two and its bins are merged in pairs when a larger value comes, so that it does not
depend on the order of the frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.errors import DataError
from cgnet_deploy.export.choices import Method
from cgnet_deploy.pixels import F32

LEVELS = 127
BINS = 8192
CANDIDATES = 200
PERCENTILE = 0.99999
ENTROPY_STEP = 16  # bins between the thresholds that are tried
SMALLEST_SCALE = 2.0**-24  # the smallest f16 above zero: TensorRT refuses a scale of zero, and dead filters have it

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """counts: (BINS,) of |x| in equal steps from 0 to `top`, a power of two. peak: the largest |x|."""

    counts: I64
    top: float
    peak: float

    @classmethod
    def empty(cls) -> Histogram:
        return cls(np.zeros(BINS, np.int64), 2.0**-40, 0.0)

    def add(self, values: F32, where: str) -> Histogram:
        """This one and `values`. Raises DataError, naming `where`, for NaN and infinity."""
        size = np.abs(values.ravel())
        peak = float(size.max(initial=0.0))
        if not math.isfinite(peak):
            raise DataError(f"{where} is NaN or infinite on a calibration frame: this network can't be quantised")
        grown = self
        if peak > self.top:
            grown = self._widened(2.0 ** math.ceil(math.log2(peak)))
        index = np.minimum((size * np.float32(BINS / grown.top)).astype(np.int32), BINS - 1)
        return Histogram(grown.counts + np.bincount(index, minlength=BINS), grown.top, max(peak, self.peak))

    def _widened(self, top: float) -> Histogram:
        if not self.counts.any():
            return Histogram(self.counts, top, self.peak)
        counts, own = self.counts, self.top
        while own < top:
            counts, own = np.pad(counts.reshape(-1, 2).sum(1), (0, BINS // 2)), own * 2
        return Histogram(counts, top, self.peak)

    @property
    def centres(self) -> npt.NDArray[np.floating[Any]]:
        """(BINS,) what the values of each bin are taken for; exact zeros, most of the first bin, cost nothing."""
        return (np.arange(BINS) + 0.5) * (self.top / BINS)


def scale_of(histogram: Histogram, method: Method) -> float:
    """The scale of a tensor, at least SMALLEST_SCALE."""
    thresholds = {"mse": _mse, "percentile": _percentile, "max": _max, "entropy": _entropy}
    return max(thresholds[method](histogram) / LEVELS, SMALLEST_SCALE)


def storable(scale: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """`scale` rounded up to a number that f16 holds too, above zero: a pair is the same pair in an f16 graph."""
    wanted = np.maximum(np.asarray(scale, np.float64), SMALLEST_SCALE)
    half = wanted.astype(np.float16)
    return np.where(half < wanted, np.nextafter(half, np.float16(np.inf)), half).astype(np.float32)


def _max(histogram: Histogram) -> float:
    return histogram.peak


def _percentile(histogram: Histogram) -> float:
    below = np.cumsum(histogram.counts)
    bin_at = int(np.searchsorted(below, PERCENTILE * below[-1]))
    return min((bin_at + 1) * histogram.top / BINS, histogram.peak)


def _mse(histogram: Histogram) -> float:
    used = histogram.counts > 0
    x, n = histogram.centres[used], histogram.counts[used]
    best, least = histogram.peak, math.inf
    for share in np.geomspace(1, 1 / 16, CANDIDATES):  # downwards: of equal errors the widest range wins
        scale = share * histogram.peak / LEVELS
        if scale < SMALLEST_SCALE:
            break
        error = float(n @ (x - scale * np.minimum(np.rint(x / scale), LEVELS)) ** 2)
        if error < least:
            best, least = share * histogram.peak, error
    return best


def _entropy(histogram: Histogram) -> float:
    """As TensorRT's calibrator did it: the clipped tail joins the last bin of the reference, not of the levels."""
    counts = histogram.counts.astype(np.float64)
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    best, least = histogram.peak, math.inf
    for end in range(LEVELS + 1, last + 1, ENTROPY_STEP):
        reference = counts[:end].copy()
        reference[-1] += counts[end:].sum()
        divergence = _divergence(reference, _levelled(counts[:end]))
        if divergence < least:
            best, least = end * histogram.top / BINS, divergence
    return min(best, histogram.peak)


def _levelled(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A histogram seen through 128 levels: each level's mean, in its bins that had any values."""
    level = np.arange(len(counts)) * (LEVELS + 1) // len(counts)
    filled = counts > 0
    mass = np.bincount(level, counts, LEVELS + 1)
    bins = np.maximum(np.bincount(level, filled, LEVELS + 1), 1)
    return np.asarray((mass / bins)[level] * filled)


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    if not q.any():
        return math.inf
    p, q = p / p.sum(), q / q.sum()
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))))
