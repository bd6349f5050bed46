"""Percentiles and variation against samples whose statistics are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgnet_deploy.stats import F64, LatencyMs, bootstrap, percentile, variation

MS = 1_000_000


@pytest.mark.parametrize(
    ("samples", "percent", "wanted"),
    [
        (100, 50, 49),
        (100, 90, 89),
        (100, 95, 94),
        (100, 99, 98),
        (10, 50, 4),
        (10, 90, 8),
        (10, 95, 9),
        (10, 99, 9),
        (3, 50, 1),
        (2, 50, 0),
        (1, 50, 0),
        (1, 99, 0),
        (1000, 99, 989),
        (7, 0, 0),
        (7, 100, 6),
    ],
)
def test_a_percentile_is_the_sample_that_trtexec_would_name(samples: int, percent: int, wanted: int) -> None:
    assert percentile(range(samples), percent) == wanted


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=300), st.sampled_from([50, 90, 95, 99]))
def test_a_percentile_is_a_sample_with_at_least_that_share_at_or_below(samples: list[int], percent: int) -> None:
    value = percentile(sorted(samples), percent)
    assert value in samples
    assert sum(sample <= value for sample in samples) * 100 >= percent * len(samples)


def test_the_summary_is_in_milliseconds_and_in_any_order() -> None:
    samples = [k * MS for k in range(1, 1001)]
    forward, backward = LatencyMs.of(samples), LatencyMs.of(samples[::-1])
    assert forward == backward == LatencyMs(mean=500.5, min=1, p50=500, p90=900, p95=950, p99=990, max=1000)


def test_p99_is_not_said_of_fewer_than_a_thousand_samples() -> None:
    assert LatencyMs.of([MS] * 999).p99 is None
    assert LatencyMs.of([MS] * 1000).p99 == 1.0


def test_the_coefficient_of_variation() -> None:
    assert variation([90, 100, 110]) == pytest.approx(0.1, rel=1e-12)
    assert variation([5, 5, 5]) == 0
    assert variation([5]) == 0
    rng = np.random.default_rng(0)
    assert variation((1e6 + 1e4 * rng.standard_normal(100_000)).astype(int).tolist()) == pytest.approx(0.01, rel=0.02)


def medians(drawn: F64) -> F64:
    return np.asarray(np.median(drawn, axis=1))


def test_the_bootstrap_interval_is_that_of_all_possible_draws() -> None:
    samples = np.array([1.00, 1.01, 1.02, 1.05, 1.20])
    all_medians = np.median(np.array(list(product(samples, repeat=5))), axis=1)  # every draw of 5 from 5: 3125
    assert bootstrap(medians, samples) == tuple(np.quantile(all_medians, (0.025, 0.975)))


def test_the_bootstrap_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        low, high = bootstrap(medians, np.exp(0.05 * rng.standard_normal(10)))
        held += low <= 1 <= high
    assert held >= 279  # 93 % of 300: 95 % is promised, less the luck of 300 trials


def test_samples_are_drawn_apart_and_draws_without_a_value_are_left_out() -> None:
    assert bootstrap(lambda a, b: np.asarray(a[:, 0] - b[:, 0]), [0, 1], [0, 1]) == (-1, 1)
    low, high = bootstrap(lambda a: np.where(a[:, 0] > 0, a[:, 0], np.nan), [0.0, 2.0], draws=100)
    assert (low, high) == (2, 2)
