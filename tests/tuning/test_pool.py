"""Real processes that go wrong: each is an error in one line, and nothing of it is left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cgnet_deploy.bench.measure.process import EngineProcess
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.request import Hints
from cgnet_deploy.errors import AccuracyError, CgnetError
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.tuning.candidates import Candidate, Variant
from cgnet_deploy.tuning.pool import EnginePool, TimingSetup
from cgnet_deploy.tuning.trial import Trial
from tests.engines.graphs import drawn_frames
from tests.networks import drawn

PROGRAM = (sys.executable, str(Path(__file__).parents[1] / "bench" / "stand_in.py"))
Started = list[EngineProcess]


class Impatient(EngineProcess):
    """Waits half a second for all but the start of the interpreter."""

    def ask(self, wanted: Any, method: str, *args: object, **more: Any) -> Any:
        self.stall_s = 60.0 if method == "open" else 0.5
        return super().ask(wanted, method, *args, **more)


@pytest.fixture
def setup(tmp_path: Path) -> Callable[[int], tuple[TimingSetup, Started]]:
    np.save(frames := tmp_path / "frames.npy", np.zeros((4, 32, 48, 3), np.uint8))

    def setup(label: int) -> tuple[TimingSetup, Started]:
        started: Started = []

        def start(ref: str, threads: int) -> EngineProcess:
            kind = Impatient if ref == "hangs" else EngineProcess
            started.append(kind(ref, threads, program=PROGRAM))
            return started[-1]

        labels = np.full((4, 32, 48), label, np.uint8)
        return TimingSetup(Settings((), ("e2e",), 1), frames, tmp_path, labels, start=start), started

    return setup


@pytest.mark.parametrize(
    ("engine", "label", "error", "says"),
    [
        ("is killed", 0, CgnetError, r"was killed by SIGKILL \(out of memory\?\), asked to first"),
        ("hangs", 0, CgnetError, "its process hangs: 'first' took more than 0 s"),
        ("steady", 1, AccuracyError, r"wrong labels: 0\.00% of the pixels have PyTorch's label, 98% were wanted"),
    ],
)
def test_an_engine_that_goes_wrong_is_reported_and_ended(
    setup: Callable[[int], tuple[TimingSetup, Started]], engine: str, label: int, error: type[CgnetError], says: str
) -> None:
    wanted, started = setup(label)
    with EnginePool(wanted) as pool:
        with pytest.raises(error, match=says):
            pool.open("a", engine, 1, 0.98)
        assert pool.engines == {}
    assert [process.process.poll() is None for process in started] == [False]


def test_a_checkpoint_that_says_nothing_of_itself_is_told_what_pytorch_was_told(tmp_path: Path) -> None:
    """In a real process, as our Triton kernels would be where there is a GPU."""
    spec = model_spec("camvid-official", 11, (3, 21))
    torch.save(drawn(11, (3, 21)).state_dict(), tmp_path / "checkpoint.pth")  # weights and nothing else
    np.save(frames := tmp_path / "frames.npy", drawn_frames(1, 32, 48))
    settings = Settings((), ("e2e",), 1, res=Res(32, 48), hints=Hints("camvid-official"))
    trial = Trial(Candidate(Variant("checkpoint", Precision.F32), "torch", 1))
    with EnginePool(TimingSetup(settings, frames, tmp_path)) as pool:
        pool.add(trial)
        assert pool.labels(trial.name).max() < len(spec.class_names)


def test_engines_are_timed_and_leave_one_by_one(setup: Callable[[int], tuple[TimingSetup, Started]]) -> None:
    wanted, started = setup(0)
    with EnginePool(wanted) as pool:
        for name in "ab":
            pool.open(name, "steady", 1, 0.98)
        assert pool.time("a") > 0
        pool.remove("a")
        assert [process.process.poll() is None for process in started] == [False, True]
        pool.time("b")
        assert len(pool.record("b", None).rounds) == 1
    assert all(process.process.poll() is not None for process in started)
