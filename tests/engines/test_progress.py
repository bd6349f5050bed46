from __future__ import annotations

import pytest

from cgnet_deploy.engines.progress import Phases


def test_an_inner_phase_fills_one_step_of_the_outer() -> None:
    shown: list[float] = []
    phases = Phases(shown.append)
    phases.start("build", None, 4)
    phases.step("build", 0)
    phases.start("time", "build", 5)
    phases.step("time", 0)
    phases.step("time", 4)
    phases.finish("time")
    phases.step("build", 1)  # says what the last inner step said already
    phases.step("build", 3)
    phases.finish("build")
    assert shown == pytest.approx([1 / 4, 1.2 / 4, 2 / 4, 4 / 4])


def test_it_never_falls_though_phases_start_over_or_end_early() -> None:
    shown: list[float] = []
    phases = Phases(shown.append)
    phases.start("build", None, 2)
    for _ in range(2):
        phases.start("inner", "build", 2)
        phases.step("inner", 0)
        phases.finish("inner")
    phases.step("build", 1)
    assert shown == [0.25, 1.0]


def test_phases_of_no_steps_and_steps_of_unknown_phases_are_ignored() -> None:
    shown: list[float] = []
    phases = Phases(shown.append)
    phases.step("never started", 0)
    phases.start("empty", None, 0)
    phases.start("itself", "itself", 3)
    phases.finish("never started")
    phases.step("itself", 1)
    phases.step("empty", 0)
    phases.finish("empty")
    phases.step("empty", 1)
    assert shown == [1.0]
