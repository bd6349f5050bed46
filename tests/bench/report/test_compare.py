"""Ratios between engines that were timed in turns, and the interval that says what is noise."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.bench.report.compare import BETWEEN_PROCESSES, against_first, fastest, medians, ratio
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.stats import bootstrap
from tests.bench.records import record


def test_a_machine_that_slows_down_leaves_the_ratio_alone() -> None:
    first = record("a", ((10, 10, 10), (20, 20, 20), (40, 40, 40)))
    second = record("b", ((5, 5, 5), (10, 10, 10), (20, 20, 20)))
    none, found = against_first([first, second])
    assert none is None
    assert found is not None
    assert found.median == 0.5
    # What is left is what two processes may differ by: 1.96 deviations of 1 % each. A bound from 10,000 draws has
    # a standard error of 0.04 % (a 97.5th percentile's, 0.027 of a deviation of 1.41 %); the tolerance is five.
    assert (found.low, found.high) == pytest.approx((0.5 / 1.0281, 0.5 * 1.0281), rel=2e-3)


def test_the_ratio_is_the_median_of_the_turns() -> None:
    first = record("a", ((10, 10, 10),) * 3)
    second = record("b", ((9, 9, 99), (11, 11, 11), (12, 12, 12)))
    found = ratio(second, first)
    assert found.median == pytest.approx(1.1)
    assert found.low == pytest.approx(0.9, rel=0.03)
    assert found.high == pytest.approx(1.2, rel=0.03)


def test_what_two_processes_differ_by_in_every_turn_is_no_difference_of_engines() -> None:
    rng = np.random.default_rng(6)
    held = {0.0: 0, 2**0.5 * BETWEEN_PROCESSES: 0}
    for _ in range(200):
        luck = np.exp(BETWEEN_PROCESSES * (rng.standard_normal() - rng.standard_normal()))
        for unseen in held:
            low, high = bootstrap(medians, luck * np.exp(0.01 * rng.standard_normal(10)), unseen=unseen)
            held[unseen] += low <= 1 <= high
    without, with_it = held.values()
    assert without < 140  # of 200: the turns alone would call it a difference in a third of all runs
    assert with_it >= 186


def noisy(name: str, slower: float, rng: np.random.Generator) -> Record:
    """Ten turns of twelve samples round 20 ms, each turn with a pace of its own (5 %) and each sample too (3 %)."""
    pace = 20 * slower * np.exp(0.05 * rng.standard_normal((10, 1)))
    return record(name, tuple(map(tuple, pace * np.exp(0.03 * rng.standard_normal((10, 12))))))


def test_ten_per_cent_are_found_and_nothing_is_not() -> None:
    rng = np.random.default_rng(7)
    verdicts = {1.0: 0, 1.1: 0}
    for slower in verdicts:
        for _ in range(40):
            ((best, [(_, found)]),) = fastest([noisy("a", 1, rng), noisy("b", slower, rng)])
            verdicts[slower] += found.high < 1 and (slower == 1 or best.engine == "a")
    assert verdicts[1.0] <= 4  # at most 1 in 10, as asked of the real thing
    assert verdicts[1.1] >= 36


def test_boundaries_are_never_mixed() -> None:
    rows = [
        record("a", ((1,),), boundary="host"),
        record("b", ((2,),), boundary="host"),
        record("a", ((10,),), boundary="e2e"),
        record("b", ((30,),), boundary="e2e"),
    ]
    assert [ratio and ratio.median for ratio in against_first(rows)] == [None, 2, None, 3]
    assert [best.boundary for best, _ in fastest(rows)] == ["host", "e2e"]
