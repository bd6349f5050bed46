"""The clock, against one that the tests move by hand."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat

import pytest

from cgnet_deploy.bench.measure import latency
from cgnet_deploy.bench.measure.latency import Sampler, measure, measure_paced, timed, warm_up
from cgnet_deploy.clock import Clock

MS = 1_000_000


class Bench:
    """A clock, and a step of work that takes these times one after the other, the last for ever."""

    def __init__(self, *work_ns: int) -> None:
        self.now_ns = 5_000 * MS  # no clock starts at 0
        self.work_ns: Iterable[int] = iter(chain(work_ns, repeat(work_ns[-1])))
        self.slept_ns = 0
        self.clock = Clock(lambda: self.now_ns, self.sleep)

    def step(self) -> None:
        self.now_ns += next(iter(self.work_ns))

    @property
    def sample(self) -> Sampler:
        return timed(self.step, self.clock)

    def sleep(self, seconds: float) -> None:
        self.slept_ns += round(seconds * 1e9)
        self.now_ns += round(seconds * 1e9)


def test_every_sample_is_kept_in_order_outliers_too() -> None:
    bench = Bench(3 * MS, 900 * MS, 1 * MS)
    taken = measure(bench.sample, 0, 5, bench.clock)
    assert taken.samples_ns == (3 * MS, 900 * MS, 1 * MS, 1 * MS, 1 * MS)
    assert taken.window_ns == 906 * MS


def test_a_round_lasts_for_both_the_time_and_the_samples() -> None:
    assert len(measure((by_time := Bench(MS)).sample, 50 * MS, 3, by_time.clock).samples_ns) == 50
    assert len(measure((by_count := Bench(MS)).sample, 50 * MS, 80, by_count.clock).samples_ns) == 80


def test_a_round_of_an_engine_that_takes_no_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "MAX_SAMPLES", 1000)
    bench = Bench(0)
    assert len(measure(bench.sample, MS, 1, bench.clock).samples_ns) == 1000


def test_pacing_starts_on_an_absolute_schedule() -> None:
    bench = Bench(3 * MS, 7 * MS, 1 * MS)
    starts: list[int] = []
    begin = bench.now_ns
    taken = measure_paced(_noting(bench, starts), 100, 0, 4, bench.clock)
    assert [start - begin for start in starts] == [0, 10 * MS, 20 * MS, 30 * MS]  # 7 ms of work delays nothing
    assert taken.samples_ns == (3 * MS, 7 * MS, 1 * MS, 1 * MS)
    assert taken.window_ns == 40 * MS
    assert bench.slept_ns == (7 + 3 + 9) * MS


def test_pacing_drops_the_ticks_that_pass_during_work() -> None:
    bench = Bench(25 * MS, 1 * MS)
    starts: list[int] = []
    begin = bench.now_ns
    taken = measure_paced(_noting(bench, starts), 100, 0, 3, bench.clock)
    assert [start - begin for start in starts] == [0, 30 * MS, 40 * MS]
    assert taken.window_ns == 50 * MS  # 3 frames in 5 periods: 60 of 100 frames a second


def test_pacing_at_exactly_the_speed_of_the_work_drops_nothing() -> None:
    bench = Bench(10 * MS)
    taken = measure_paced(bench.sample, 100, 0, 8, bench.clock)
    assert taken.window_ns == 80 * MS
    assert bench.slept_ns == 0


def test_a_sleep_that_ends_early_is_gone_on_with() -> None:
    bench = Bench(MS)
    clock = Clock(bench.clock.now_ns, lambda seconds: bench.sleep(seconds / 2 if seconds > 1e-6 else seconds))
    starts: list[int] = []
    begin = bench.now_ns
    measure_paced(_noting(bench, starts), 100, 0, 3, clock)
    assert [start - begin for start in starts] == [0, 10 * MS, 20 * MS]


def test_a_steady_engine_is_warm_after_the_least_time() -> None:
    bench = Bench(2 * MS)
    warmed = warm_up(bench.sample, 200 * MS, 10, 10, bench.clock)
    assert (warmed.steps, warmed.step_ns, warmed.settled) == (100, 2 * MS, True)


def test_the_least_number_of_steps_holds_for_a_slow_engine() -> None:
    bench = Bench(400 * MS)
    assert warm_up(bench.sample, 200 * MS, 10, 10, bench.clock).steps == 10


def test_warm_up_goes_on_until_three_windows_agree() -> None:
    # 25 ms steps: a window is 3 of them (75 ms). The first two windows are slow, then it is warm.
    bench = Bench(*[50 * MS] * 6, 25 * MS)
    warmed = warm_up(bench.sample, 200 * MS, 3, 10, bench.clock)
    assert warmed.settled
    assert warmed.steps == 6 + 9


def test_warm_up_of_a_machine_that_never_settles_ends_and_says_so() -> None:
    work = [pace * MS for _ in range(100) for pace in (30, 30, 30, 60, 60, 60)]
    bench = Bench(*work)
    begin = bench.now_ns
    warmed = warm_up(bench.sample, 200 * MS, 10, 10, bench.clock)
    assert not warmed.settled
    assert 2000 * MS <= bench.now_ns - begin < 2000 * MS + 60 * MS


@pytest.mark.parametrize(("last_ms", "settled"), [(109, True), (112, False)])
def test_windows_agree_within_ten_per_cent(last_ms: int, settled: bool) -> None:
    bench = Bench(*[100 * MS] * 6, *[last_ms * MS] * 3, 500 * MS)
    assert (warm_up(bench.sample, 1, 9, 10, bench.clock).settled) is settled


def _noting(bench: Bench, starts: list[int]) -> Sampler:
    def sample() -> int:
        starts.append(bench.now_ns)
        return bench.sample()

    return sample
