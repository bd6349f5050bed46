"""Under which conditions a row was measured, from readings of the machine before, during and after each round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from cgnet_deploy.bench.machine.readings import Reading


@dataclass(frozen=True, slots=True)
class Watched:
    """One round: readings right before, four a second during, and right after."""

    before: Reading
    during: tuple[Reading, ...]
    after: Reading


@dataclass(frozen=True, slots=True)
class Clocks:
    """Of the CPU's cores, the GPU's multiprocessors and its memory, in MHz, and how hot the GPU is, in Celsius."""

    cpu_mhz: float | None
    gpu_mhz: float | None
    gpu_memory_mhz: float | None
    gpu_celsius: float | None


@dataclass(frozen=True, slots=True)
class Joules:
    """Energy, by who used it: all CPU packages, the GPU, a complete board; None where the machine doesn't report it.

    A counter covers everything that runs on the machine, idle parts and other programs included.
    """

    cpu: float | None
    gpu: float | None
    board: float | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """before, during, after: the clocks; of several readings the median. throttled: what was held back, and by what.

    joules: of all rounds together, warm-up excluded.
    """

    before: Clocks
    during: Clocks
    after: Clocks
    throttled: tuple[str, ...]
    joules: Joules


def conditions(rounds: Sequence[Watched], windows_ns: Sequence[int]) -> Conditions:
    """Of a row whose rounds lasted `windows_ns`."""
    during = [reading for watched in rounds for reading in watched.during]
    return Conditions(
        before=_clocks([rounds[0].before]),
        during=_clocks(during),
        after=_clocks([rounds[-1].after]),
        throttled=_throttled(rounds, during),
        joules=Joules(
            cpu=_sum(rounds, lambda reading: reading.cpu_joules),
            gpu=_sum(rounds, lambda reading: reading.gpu.joules),
            board=_mean_times(during, sum(windows_ns) / 1e9),
        ),
    )


def _clocks(readings: Sequence[Reading]) -> Clocks:
    return Clocks(
        cpu_mhz=_median(reading.cpu_mhz for reading in readings),
        gpu_mhz=_median(reading.gpu.sm_mhz for reading in readings),
        gpu_memory_mhz=_median(reading.gpu.memory_mhz for reading in readings),
        gpu_celsius=_median(reading.gpu.celsius for reading in readings),
    )


def _throttled(rounds: Sequence[Watched], during: Sequence[Reading]) -> tuple[str, ...]:
    gpu = dict.fromkeys(f"GPU: {why}" for reading in during for why in reading.gpu.throttled or ())
    cpu = {
        "CPU: too hot": _sum(rounds, lambda reading: reading.cpu_throttles),
        "CPU: quota of the cgroup": _sum(rounds, lambda reading: reading.quota_throttles),
    }
    return (*(why for why, times in cpu.items() if times), *gpu)


def _sum(rounds: Sequence[Watched], counter: Callable[[Reading], float | None]) -> float | None:
    """By how much a counter rose during the rounds; None if it is missing anywhere."""
    total = 0.0
    for watched in rounds:
        first, last = counter(watched.before), counter(watched.after)
        if first is None or last is None:
            return None
        total += last - first
    return total


def _mean_times(readings: Sequence[Reading], seconds: float) -> float | None:
    watts = [reading.board_w for reading in readings if reading.board_w is not None]
    return sum(watts) / len(watts) * seconds if watts else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
