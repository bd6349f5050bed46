"""A run of so many minutes: it learns, and its rate falls in time, whatever the machine's speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgnet_deploy.errors import UsageError
from cgnet_deploy.train.feed import total_steps
from cgnet_deploy.train.length import Length, validation_steps
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL, OWN

MINUTE = 60.0


class Clock:
    now_s = 0.0

    def now_ns(self) -> int:
        return round(1e9 * self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("cgnet_deploy.train.length.CLOCK", clock)
    return clock


def rates_of(length: Length, clock: Clock, step_s: float, slower: float = 1.0) -> list[float]:
    """Of each step of a run whose steps take `step_s`, and `slower` times that in its fall."""
    rates: list[float] = []
    while len(rates) != length.steps:
        rates.append(length.rate(len(rates)))
        clock.now_s += step_s * (slower if length.fall else 1)
        if fall := length.new_fall(len(rates)):
            length.fix(len(rates), fall)
    return rates


@pytest.mark.parametrize("step_s", [0.05, 0.7, 10.0])
def test_the_rate_reaches_zero_before_the_time_is_over(step_s: float, clock: Clock) -> None:
    """Of 10 minutes at any speed, less a validation of 20 s: six tenths at the peak, the fall within the rest."""
    length, peak = Length(replace(OWN, minutes=10), None, began_ns=0, validation_s=20.0), OWN.optimiser.lr
    rates = rates_of(length, clock, step_s)
    assert length.fall is not None
    assert rates[-length.fall - 1] == peak * min(1.0, (len(rates) - length.fall) / 50)
    assert rates[-1] == pytest.approx(peak / length.fall)
    assert len(rates) - length.fall == pytest.approx(0.6 * 580 / step_s, abs=1)
    assert clock.now_s == pytest.approx(0.96 * 580, abs=2 * step_s + 1)


def test_a_validation_that_was_not_timed_yet_is_estimated(clock: Clock) -> None:
    recipe = replace(OWN, minutes=10)
    images = 100
    length = Length(recipe, None, images, began_ns=0)
    rates = rates_of(length, clock, 1.0)
    assert validation_steps(recipe, images) == pytest.approx(100 * 360 * 480 / (3 * 4 * 240 * 240))
    assert len(rates) == pytest.approx(0.96 * (600 - validation_steps(recipe, images)), abs=3)
    beyond = Length(recipe, None, 100_000, began_ns=0)  # longer than the run
    clock.now_s = 0.0
    assert len(rates_of(beyond, clock, 1.0)) == 12  # as soon as ten steps are timed


@pytest.mark.parametrize("slower", [1.3, 3.0, 10.0])
def test_a_machine_that_becomes_slower_shortens_the_fall(slower: float, clock: Clock) -> None:
    length, peak = Length(replace(OWN, minutes=10), None, began_ns=0, validation_s=5.0), OWN.optimiser.lr
    rates = rates_of(length, clock, 0.7, slower)
    assert clock.now_s + 5 <= 10 * MINUTE + 0.7 * slower
    falling = [rate for rate in rates if rate < peak][49:]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 0.08 * peak


def test_time_of_earlier_processes_counts(clock: Clock) -> None:
    length = Length(replace(OWN, minutes=10), None, before_s=5 * MINUTE, began_ns=0, validation_s=0.0)
    clock.now_s = 20.0  # for reading the data and the first step
    assert length.new_fall(331) == 0
    clock.now_s = 59.0
    assert length.new_fall(370) == 0
    clock.now_s = 61.0
    assert length.new_fall(372) == pytest.approx(0.9 * 239, abs=1)
    length.validation_s = 1000.0
    assert length.new_fall(372) == 1


def test_a_run_whose_time_is_gone_makes_one_more_step(clock: Clock) -> None:
    clock.now_s = 601.0
    assert Length(replace(OWN, minutes=10), None, began_ns=0).new_fall(1) == 1
    assert Length(replace(OWN, minutes=10), 7, began_ns=0).new_fall(7) == 0


def test_the_progress_of_a_run_of_steps_counts_them(clock: Clock) -> None:
    length = Length(replace(OWN, steps=10), 10, began_ns=0)
    clock.now_s = 1e6
    assert (length.total, length.done(4)) == (10, 4)


def test_what_has_no_length() -> None:
    with pytest.raises(UsageError, match="recipe own has no length"):
        total_steps(OWN, 10)
    with pytest.raises(UsageError, match="needs the schedule trapezoid, not poly"):
        replace(CAMVID_OFFICIAL, minutes=3)
    with pytest.raises(UsageError, match="the schedule poly needs a length"):
        Length(CAMVID_OFFICIAL, None).rate(0)
