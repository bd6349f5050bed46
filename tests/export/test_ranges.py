"""Histograms of |x| and the scales that are chosen from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgnet_deploy.errors import DataError
from cgnet_deploy.export.choices import METHODS, Method
from cgnet_deploy.export.ranges import BINS, LEVELS, SMALLEST_SCALE, Histogram, scale_of, storable
from cgnet_deploy.pixels import F32


def histogram(*parts: F32) -> Histogram:
    found = Histogram.empty()
    for part in parts:
        found = found.add(part, "x")
    return found


def error(values: F32, scale: float) -> float:
    """Mean squared error of int8 with that scale, on the values themselves."""
    return float(np.mean((values - scale * np.clip(np.rint(values / scale), -LEVELS, LEVELS)) ** 2))


def tailed(rng: np.random.Generator) -> F32:
    """As CGNet's features are: many zeros, a body, and a long tail."""
    values = np.concatenate([np.zeros(20_000), rng.normal(0, 1, 80_000), rng.normal(0, 1, 4) * 12])
    return values.astype(np.float32)


def test_order_of_frames_does_not_matter(rng: np.random.Generator) -> None:
    parts = [scale * rng.normal(size=1000).astype(np.float32) for scale in (1.0, 900.0, 1e-3, 40.0)]
    one, other = histogram(*parts), histogram(*parts[::-1])
    assert np.array_equal(one.counts, other.counts)
    assert (one.top, one.peak) == (other.top, other.peak)
    assert one.counts.sum() == 4000


@given(st.floats(1e-6, 1e6))
def test_the_top_is_a_power_of_two_with_half_the_bins_in_use(peak: float) -> None:
    found = histogram(np.array([-peak], np.float32))
    assert found.peak == np.float32(peak)
    assert found.peak <= found.top < 2 * found.peak
    assert np.flatnonzero(found.counts)[0] >= BINS // 2 - 1


def test_max_is_the_largest_value(rng: np.random.Generator) -> None:
    values = tailed(rng)
    assert scale_of(histogram(values), "max") == np.abs(values).max() / LEVELS


def test_percentile_leaves_one_in_a_hundred_thousand_above(rng: np.random.Generator) -> None:
    values = rng.uniform(-1, 1, 1_000_000).astype(np.float32)
    assert scale_of(histogram(values), "percentile") * LEVELS == pytest.approx(0.99999, abs=1 / 4096)


def test_mse_is_the_best_of_all_scales(rng: np.random.Generator) -> None:
    values = tailed(rng)
    chosen = error(values, scale_of(histogram(values), "mse"))
    others = [error(values, scale) for scale in np.geomspace(0.02, 1, 400) * np.abs(values).max() / LEVELS]
    assert chosen <= 1.001 * min(others)  # the histogram knows values to 1/4096 of the peak
    assert chosen < 0.9 * error(values, scale_of(histogram(values), "max"))


def test_entropy_keeps_the_range_of_an_even_spread(rng: np.random.Generator) -> None:
    values = rng.uniform(-1, 1, 1_000_000).astype(np.float32)
    assert scale_of(histogram(values), "entropy") * LEVELS == pytest.approx(1, abs=0.02)


def test_entropy_clips_a_long_tail(rng: np.random.Generator) -> None:
    values = tailed(rng)
    assert scale_of(histogram(values), "entropy") < 0.6 * scale_of(histogram(values), "max")


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_has_a_scale(method: Method) -> None:
    assert scale_of(histogram(np.zeros(100, np.float32)), method) == SMALLEST_SCALE


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_no_number(bad: float) -> None:
    with pytest.raises(DataError, match=r"stem/Conv is NaN or infinite on a calibration frame"):
        Histogram.empty().add(np.array([1, bad, 2], np.float32), "stem/Conv")


@given(st.floats(1e-12, 6e4))
def test_a_scale_is_a_number_of_f16_and_no_smaller(scale: float) -> None:
    kept = storable(scale)
    assert kept == np.float32(np.float16(kept))
    assert scale <= kept <= max(scale * (1 + 2**-9), scale + 2 * SMALLEST_SCALE)
