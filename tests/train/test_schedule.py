"""Learning rates at the points that their descriptions fix."""

from __future__ import annotations

import pytest

from cgnet_deploy.train.recipe import OneCycle, Trapezoid
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL, MMSEG_680
from cgnet_deploy.train.schedule import learning_rate


def test_official_poly_falls_to_nothing() -> None:
    def rate(step: int) -> float:
        return learning_rate(CAMVID_OFFICIAL.schedule, 1e-3, step, 46_400)

    assert rate(0) == 1e-3
    assert rate(23_200) == pytest.approx(1e-3 * 0.5**0.9)
    assert 0 < rate(46_399) < 1e-7


def test_mmseg_poly_has_a_floor() -> None:
    assert learning_rate(MMSEG_680.schedule, 1e-3, 0, 60_000) == 1e-3
    assert learning_rate(MMSEG_680.schedule, 1e-3, 30_000, 60_000) == pytest.approx(9e-4 * 0.5**0.9 + 1e-4)
    assert learning_rate(MMSEG_680.schedule, 1e-3, 59_999, 60_000) == pytest.approx(1e-4, rel=1e-3)


def test_one_cycle_rises_and_falls() -> None:
    rates = [learning_rate(OneCycle(warmup=0.2, start=10, end=1000), 1.0, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[200]) == pytest.approx(1.0)
    assert rates == sorted(rates[:201]) + sorted(rates[201:], reverse=True)
    assert rates[999] == pytest.approx(0.001, rel=0.01)


def test_a_trapezoid_is_longer_without_changing_its_beginning() -> None:
    shape = Trapezoid(rise=10, fall=40)
    short, long = ([learning_rate(shape, 1.0, step, steps) for step in range(steps)] for steps in (100, 150))
    assert short[:60] == long[:60]
    assert short[0] == pytest.approx(0.1)
    assert short[9:60] == [1.0] * 51
    assert short[80] == pytest.approx(0.5)
    assert short[99] == pytest.approx(1 / 40)
