"""Ratios between engines that were timed in turns."""

from __future__ import annotations

import pytest

from cgnet_deploy.bench.compare import Ratio, against_first
from tests.bench.records import record


def test_a_machine_that_slows_down_leaves_the_ratio_alone() -> None:
    first = record("a", ((10, 10, 10), (20, 20, 20), (40, 40, 40)))
    second = record("b", ((5, 5, 5), (10, 10, 10), (20, 20, 20)))
    assert against_first([first, second]) == [None, Ratio(0.5, 0.5, 0.5)]


def test_the_spread_is_over_the_turns() -> None:
    first = record("a", ((10, 10, 10),) * 3)
    second = record("b", ((9, 9, 99), (11, 11, 11), (12, 12, 12)))
    ratio = against_first([first, second])[1]
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((1.1, 0.9, 1.2))


def test_boundaries_are_never_mixed() -> None:
    rows = [record("a", ((1,),), boundary="host"), record("b", ((2,),), boundary="host"),
            record("a", ((10,),), boundary="e2e"), record("b", ((30,),), boundary="e2e")]  # fmt: skip
    assert [ratio and ratio.median for ratio in against_first(rows)] == [None, 2, None, 3]
