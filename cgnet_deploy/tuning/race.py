"""Which candidates are fast: a race in groups of a few, timed in turn; what is slower for sure is eliminated.

    group   the next AT_ONCE that wait, and the fastest so far of each coarseness, so that groups can be compared
    round   each of them once, A B C, A B C, ...; from round LEAST_ROUNDS on, c is out if there is a d no coarser than c
            whose p50 is lower beyond the 95 % interval of their ratio over the rounds
    end     after ROUNDS, or as soon as one is left

A coarser candidate can't eliminate a finer one: whether its labels are good enough is measured later, and only on what
is fast. If it then turns out not to be, those that it eliminated race again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

from cgnet_deploy.bench.report.compare import ratio_of_rounds
from cgnet_deploy.tuning.attempt import attempt
from cgnet_deploy.tuning.trial import Trial

log = logging.getLogger(__name__)

AT_ONCE = 6
ROUNDS = 6
LEAST_ROUNDS = 3  # never on one sample
MOST_ALIKE = 3  # of one coarseness that go on: of more, none would win by more than noise

Trials = dict[str, Trial]


class Pool(Protocol):
    """Engines that are open. Each method raises CgnetError for an engine that can't go on."""

    def add(self, trial: Trial) -> None:
        """Open it, and see that its labels are right."""

    def time(self, name: str) -> float:
        """The p50 of one more round, in ms."""

    def remove(self, name: str) -> None:
        """End its process."""


StartPool = Callable[[], AbstractContextManager[Pool]]


def race(
    trials: Mapping[str, Trial],
    make: Callable[[Trial], Trial],
    start: StartPool,
    keep: Callable[[Trials], None],
    in_time: Callable[[], bool],
) -> Trials:
    """Time all that wait, until each is `failed`, `slower`, `fast` or, when the time is up, `not tried`; one at least.

    make: exports what a trial runs. keep: is called with all trials after each export and each group.
    """
    found = dict(trials)
    while waiting := [trial for trial in found.values() if trial.fate == "waiting"]:
        if not in_time() and any(trial.p50_ms for trial in found.values()):
            found |= {trial.name: replace(trial, fate="not tried", why="the time was up") for trial in waiting}
            break
        group: list[Trial] = []
        for trial in waiting[:AT_ONCE]:
            if group and not in_time():
                break
            found[trial.name] = made = made_or_failed(trial, make)
            keep(found)  # an export takes longer than a group
            group += [made] * (made.fate == "waiting")
        if group:
            with start() as pool:
                found |= time_group(pool, [*leaders(found), *group])
        found = waiting_again(found)
        keep(found)
    return thinned(found)


def made_or_failed(trial: Trial, make: Callable[[Trial], Trial]) -> Trial:
    with attempt(trial.name) as tried:
        trial = make(trial)
    return replace(trial, fate="failed", why=tried.why) if tried.why else trial


def time_group(pool: Pool, group: Sequence[Trial]) -> Trials:
    """What became of each: `failed`, `slower` or `fast`."""
    done: Trials = {}
    running = {trial.name: trial for trial in group}
    times: dict[str, tuple[float, ...]] = dict.fromkeys(running, ())

    @contextmanager
    def or_failed(name: str) -> Iterator[None]:
        """Go on without an engine that can't."""
        with attempt(name) as tried:
            yield
        if tried.why:
            done[name] = replace(running.pop(name), fate="failed", why=tried.why)
            pool.remove(name)

    for trial in group:
        with or_failed(trial.name):
            pool.add(trial)
    for number in range(ROUNDS):
        if len(running) < 2 and number >= LEAST_ROUNDS:
            break
        for name in tuple(running):
            with or_failed(name):
                times[name] += (pool.time(name),)
        if number + 1 < LEAST_ROUNDS:
            continue
        for slower, faster, why in tuple(beaten(running, times)):
            log.info(f"{slower} is out: {why}")
            loser = running.pop(slower)
            done[slower] = replace(loser, fate="slower", why=why, by=faster, p50_ms=times[slower])
            pool.remove(slower)
    return done | {name: replace(trial, fate="fast", p50_ms=times[name]) for name, trial in running.items()}


def beaten(running: Mapping[str, Trial], times: Mapping[str, tuple[float, ...]]) -> Iterator[tuple[str, str, str]]:
    """Who is slower for sure, than whom, and by how much."""
    for name, trial in running.items():
        coarseness = trial.candidate.coarseness
        rivals = [other for other in running if other != name and running[other].candidate.coarseness <= coarseness]
        if not rivals:
            continue
        best = min(rivals, key=lambda rival: sum(times[rival]))
        ratio = ratio_of_rounds(times[name], times[best])
        if ratio.low > 1:
            yield name, best, f"{ratio} of the time of {best}"


def leaders(trials: Mapping[str, Trial]) -> list[Trial]:
    """The fastest so far of each coarseness."""
    best: dict[int, Trial] = {}
    for trial in sorted(trials.values(), key=lambda trial: trial.typical_ms):
        if trial.fate in ("fast", "scored"):
            best.setdefault(trial.candidate.coarseness, trial)
    return [*best.values()]


def waiting_again(trials: Mapping[str, Trial]) -> Trials:
    """Those that were eliminated by one that failed, or was refused since, wait again."""
    gone = {name for name, trial in trials.items() if trial.fate in ("failed", "refused")}
    return {
        name: replace(trial, fate="waiting", why="", by="") if trial.fate == "slower" and trial.by in gone else trial
        for name, trial in trials.items()
    }


def thinned(trials: Mapping[str, Trial]) -> Trials:
    """Of many that are as fast as one another, those with the lowest p50 stay."""
    found = dict(trials)
    for coarseness in {trial.candidate.coarseness for trial in trials.values()}:
        alike = [trial for trial in found.values() if trial.fate in ("fast", "scored")]
        alike = [trial for trial in alike if trial.candidate.coarseness == coarseness]
        alike.sort(key=lambda trial: trial.typical_ms)
        for trial in alike[MOST_ALIKE:]:
            if trial.confusion is None:
                why = f"as fast as {alike[0].name}, within the noise, but {MOST_ALIKE} like it go on"
                found[trial.name] = replace(trial, fate="slower", why=why, by=alike[0].name)
    return found
