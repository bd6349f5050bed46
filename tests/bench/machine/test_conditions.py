"""The conditions of a row, from readings whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgnet_deploy.bench.machine.conditions import Clocks, Joules, Watched, conditions
from cgnet_deploy.bench.machine.nvml import GpuReading
from cgnet_deploy.bench.machine.readings import Reading

NOTHING = Watched(Reading(), (), Reading())


def reading(mhz: float, joules: float, *, throttles: int = 0, watts: float | None = None) -> Reading:
    gpu = GpuReading(sm_mhz=2 * mhz, joules=10 * joules, celsius=50, throttled=())
    return Reading(mhz, throttles, 0, joules, watts, gpu)


def test_a_machine_without_readings_has_no_conditions() -> None:
    result = conditions([NOTHING, NOTHING], [1, 1])
    assert result.before == result.during == result.after == Clocks(None, None, None, None)
    assert (result.throttled, result.joules) == ((), Joules(None, None, None))


def test_clocks_are_those_before_during_and_after_the_row() -> None:
    first = Watched(reading(1, 0), (reading(5, 0), reading(6, 0)), reading(9, 0))
    last = Watched(reading(9, 0), (reading(20, 0),), reading(3, 0))
    result = conditions([first, last], [1, 1])
    assert (result.before.cpu_mhz, result.during.cpu_mhz, result.after.cpu_mhz) == (1, 6, 3)
    assert (result.before.gpu_mhz, result.during.gpu_mhz, result.after.gpu_mhz) == (2, 12, 6)


def test_only_the_energy_of_the_rounds_counts() -> None:
    rounds = [Watched(reading(1, 5), (), reading(1, 7)), Watched(reading(1, 100), (), reading(1, 101))]
    assert conditions(rounds, [1, 1]).joules == Joules(3, 30, None)
    lost = [rounds[0], replace(rounds[1], after=Reading())]
    assert conditions(lost, [1, 1]).joules == Joules(None, None, None)


def test_the_energy_of_a_board_is_its_mean_power_over_the_rounds() -> None:
    rounds = [Watched(reading(1, 0), (reading(1, 0, watts=10), reading(1, 0, watts=20)), reading(1, 0))] * 2
    assert conditions(rounds, [300_000_000, 500_000_000]).joules.board == pytest.approx(15 * 0.8)


def test_what_held_the_machine_back_is_listed_once() -> None:
    slowed = GpuReading(throttled=("power cap",))
    hot = Watched(reading(1, 0, throttles=4), (Reading(gpu=slowed), Reading(gpu=slowed)), reading(1, 0, throttles=5))
    cool = Watched(reading(1, 0, throttles=5), (), reading(1, 0, throttles=5))
    assert conditions([hot, cool], [1, 1]).throttled == ("CPU: too hot", "GPU: power cap")
    assert conditions([cool], [1]).throttled == ()
    held = replace(cool, after=replace(cool.after, quota_throttles=3))
    assert conditions([held], [1]).throttled == ("CPU: quota of the cgroup",)
