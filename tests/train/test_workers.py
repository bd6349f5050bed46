"""Processes that read pictures: a signal to all of a job ends it cleanly, and none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from tests.children import interruptible
from tests.data.trees import camvid_tree
from tests.train.runs import TINY, arguments, log_of, trained

SETTINGS = (*TINY[:-2], "save_every=2", "validate_every=100000")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return camvid_tree(tmp_path / "data", images=4)


@pytest.fixture
def process(data: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A long run in a session of its own."""
    words = arguments(data, tmp_path / "run", "--iterations", "90000", "--workers", "2", settings=SETTINGS)
    command = [sys.executable, "-m", "cgnet_deploy.train.cli", *words]
    with interruptible():
        started = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    with started:
        yield started
        started.kill()


def at_work(process: subprocess.Popen[str], out: Path) -> list[psutil.Process]:
    """The workers of a run that has saved a state."""
    while not (out / "last.pt").exists():
        assert process.poll() is None, process.communicate()
    found = psutil.Process(process.pid).children()
    assert len(found) == 2
    return found


@interruptible()
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_is_a_clean_stop(
    number: signal.Signals, process: subprocess.Popen[str], data: Path, tmp_path: Path
) -> None:
    """As a terminal sends SIGINT; systemd and Slurm SIGTERM."""
    workers = at_work(process, tmp_path / "run")
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 128 + number, said
    *steps, last = said.splitlines()
    assert last.startswith(f"stopped by {number.name} at step ")
    assert [line for line in steps if not line.startswith("step ")] == []
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    stopped = log_of(tmp_path / "run")[-1]["step"]
    more = ("--iterations", "90000", "--time-limit", "0", "--resume")
    assert trained(data, tmp_path / "run", *more, settings=SETTINGS) == 0
    assert log_of(tmp_path / "run")[-1]["step"] == stopped + 1


def test_a_worker_that_is_killed_is_one_line_and_the_state_stays(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    """As where memory runs out."""
    workers = at_work(process, tmp_path / "run")
    workers[0].kill()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    last = said.splitlines()[-1]
    assert "error: a process that reads pictures is killed by signal: Killed: " in last
    assert "Traceback" not in said
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["learner"]["step"] >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []
