"""Races without engines: who runs, who is out, and what many that are alike come to."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from cgnet_deploy.engines.backends import BACKENDS
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.export.choices import Scope
from cgnet_deploy.spec import Precision
from cgnet_deploy.tuning.candidates import Candidate, Variant, candidates
from cgnet_deploy.tuning.race import AT_ONCE, LEAST_ROUNDS, MOST_ALIKE, ROUNDS, race
from cgnet_deploy.tuning.trial import Trial


class FakePool:
    """times: by name, one round after the other; the last is repeated. log: of what was done."""

    def __init__(self, times: dict[str, list[float]]) -> None:
        self.times, self.log = times, list[str]()

    def add(self, trial: Trial) -> None:
        self.log.append(f"add {trial.name}")

    def time(self, name: str) -> float:
        self.log.append(name)
        ms, *later = self.times[name]
        self.times[name] = later or [ms]
        if ms < 0:
            raise CgnetError("died")
        return ms

    def remove(self, name: str) -> None:
        self.log.append(f"remove {name}")


def trial(backend: str, scope: Scope | None = None) -> Trial:
    return Trial(Candidate(Variant("generic", Precision.INT8 if scope else Precision.F32, scope), backend, 1))


def run(pool: FakePool, *trials: Trial) -> dict[str, Trial]:
    named = {one.name: one for one in trials}
    pool.times = {name: pool.times[name.partition(":")[0]] for name in named}
    return race(named, lambda one: one, lambda: nullcontext(pool), lambda found: None, lambda: True)


def test_engines_take_turns_and_one_slow_round_decides_nothing() -> None:
    pool = FakePool({"a": [10.0], "b": [30.0, 9.0, 11.0, 9.0]})
    found = run(pool, a := trial("a"), b := trial("b"))
    assert [found[one.name].fate for one in (a, b)] == ["fast", "fast"]
    assert [name for name in pool.log if " " not in name.removesuffix(" 1 threads")] == [a.name, b.name] * ROUNDS
    assert found[b.name].p50_ms[:4] == (30.0, 9.0, 11.0, 9.0)


def test_int8_never_eliminates_f32_and_f32_eliminates_int8() -> None:
    found = run(FakePool({"a": [10.0], "b": [5.0]}), a := trial("a"), trial("b", "all"))
    assert found[a.name].fate == "fast"
    found = run(FakePool({"a": [10.0], "b": [12.0]}), a, b := trial("b", "all"))
    assert (found[b.name].fate, found[b.name].by, len(found[b.name].p50_ms)) == ("slower", a.name, LEAST_ROUNDS)


def test_the_fastest_of_a_group_runs_in_the_next_one() -> None:
    names = [f"{i}" for i in range(AT_ONCE + 1)]
    pool = FakePool({name: [10.0 + i] for i, name in enumerate(names)})
    found = run(pool, *map(trial, names))
    assert [one.fate for one in found.values()] == ["fast", *["slower"] * AT_ONCE]
    assert pool.log.count("add 0:generic-f32.onnx 1 threads") == 2
    assert found[trial("6").name].by == trial("0").name


def test_what_was_beaten_by_one_that_dies_races_again() -> None:
    names = [f"{i}" for i in range(AT_ONCE + 1)]
    times = {name: [20.0] for name in names} | {"0": [*[10.0] * LEAST_ROUNDS, -1.0], "1": [15.0]}
    found = run(FakePool(times), *map(trial, names))
    assert (found[trial("0").name].fate, found[trial("0").name].why) == ("failed", "died")
    assert found[trial("1").name].fate == "fast"


def test_of_many_that_are_alike_few_go_on() -> None:
    found = run(FakePool({name: [10.0, 10.1, 9.9, 10.0] for name in "abcde"}), *map(trial, "abcde"))
    assert [one.fate for one in found.values()].count("fast") == MOST_ALIKE
    assert "as fast as" in next(one for one in found.values() if one.fate == "slower").why


def test_every_backend_that_runs_files_is_tried_or_is_said_not_to_be() -> None:
    found, left_out = candidates((1,), None, lambda backend: None)
    known = {one.backend for one in found} | {one.backend for one in left_out}
    assert {backend.name for backend in BACKENDS if backend.runtime.reads != "checkpoint"} <= known
    assert {one.backend for one in left_out} == {"ncnn"}


def test_plans_run_with_and_without_a_graph_and_in_every_scope_that_the_gpu_may_like() -> None:
    found, _ = candidates((1,), None, lambda backend: None if backend.startswith("trt") else "not here")
    files = ("tensorrt-int8-most", "tensorrt-int8-all", "tensorrt-f16")
    default = [f"{name}:{file}.plan 1 threads" for name in ("trt", "trt-plain") for file in files]
    assert {one.name for one in found} == {*default, *(f"trt:{file}-level5.plan 1 threads" for file in files)}
    assert len({one.variant for one in found}) == 2 * len(files)  # each is built once
    assert {one.variant.flags[-2:] for one in found if one.variant.level} == {("--builder-level", "5")}


def test_threads_of_a_cpu_are_not_varied_for_what_runs_elsewhere() -> None:
    found, _ = candidates((4, 2), None, lambda backend: None)
    counts = {backend: {one.threads for one in found if one.backend == backend} for backend in ("trt", "openvino")}
    assert counts == {"trt": {4}, "openvino": {4, 2}}


@pytest.mark.parametrize(
    ("backend", "coarseness"),
    [("openvino", 0), ("openvino-gpu", 1), ("native-bf16", 1), ("torch-fast", 0), ("torch-fast-f16", 1)],
)
def test_what_rounds_may_not_drive_out_what_does_not(backend: str, coarseness: int) -> None:
    found, _ = candidates((1,), None, lambda name: None if name == backend else "not here")
    assert {one.coarseness for one in found if one.variant.precision is Precision.F32} == {coarseness}


@pytest.mark.parametrize("threads", [(2,), (4, 2)])
def test_every_way_that_the_machine_has_is_a_candidate(threads: tuple[int, ...]) -> None:
    found, left_out = candidates(threads, None, lambda backend: None if backend == "native" else f"no {backend}")
    assert {one.name for one in found} == {
        f"native:native-{kind}.onnx {count} threads"
        for kind in ("int8-all", "f32", "f32-unpruned")
        for count in threads
    }
    assert {one.why for one in left_out if one.backend == "openvino"} == {"no openvino"}
