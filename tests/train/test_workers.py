"""Processes that read pictures: a signal to all of a job ends it cleanly, none outlives it, no failure is silent."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psutil
import pytest
import torch

from tests.children import interruptible
from tests.data.trees import camvid_tree
from tests.disks import own_mounts
from tests.train.runs import TINY, arguments, log_of, trained

COMMAND = [sys.executable, "-m", "cgnet_deploy.train.cli"]
SETTINGS = (*TINY[:-2], "save_every=2", "validate_every=100000")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return camvid_tree(tmp_path / "data", images=4)


@pytest.fixture
def process(data: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A long run in a session of its own."""
    words = arguments(data, tmp_path / "run", "--iterations", "90000", "--workers", "2", settings=SETTINGS)
    with interruptible():
        started = subprocess.Popen(
            [*COMMAND, *words],
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
    # by the signal that its end sends, or by its absence, whichever torch notices first
    assert re.search("error: a process that reads pictures (is killed by signal: Killed|exited unexpectedly): ", last)
    assert "Traceback" not in said
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["learner"]["step"] >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def test_an_error_of_any_kind_leaves_no_workers(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback would keep them, and Python would wait for them at exit for ever."""
    monkeypatch.setattr("cgnet_deploy.train.loop.save_state", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as held:
        trained(data, tmp_path / "run", "--iterations", "9", "--workers", "1", settings=SETTINGS)
    assert held.tb is not None
    assert multiprocessing.active_children() == []


@interruptible()
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_workers_that_are_stuck(
    number: signal.Signals, process: subprocess.Popen[str], tmp_path: Path
) -> None:
    """As in a network's file system that doesn't answer."""
    workers = at_work(process, tmp_path / "run")
    for worker in workers:
        worker.suspend()
    process.send_signal(number)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 128 + number, said
    assert said.splitlines()[-1].startswith(f"stopped by {number.name} at step ")
    assert "Traceback" not in said
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert state["learner"]["step"] == log_of(tmp_path / "run")[-1]["step"]


@pytest.mark.parametrize(
    ("options", "batch", "said", "code"),
    [
        ("ro", 2, "/dev/shm, where processes share memory, can't be used: Read-only file system; --workers 0", 2),
        ("size=64k,nr_inodes=1", 2, "/dev/shm has no room for a batch of 40 KiB: --workers 0", 1),
        ("size=64k", 4, "/dev/shm has no room for a batch of 80 KiB: --workers 0", 1),
        ("size=64k", 2, "can't pass on a batch: /dev/shm is full: --workers 0", 1),  # one fits
    ],
)
def test_shared_memory_that_is_small_or_read_only_is_one_line(
    options: str, batch: int, said: str, code: int, data: Path, tmp_path: Path
) -> None:
    """It would be waited for ever for a batch that could not be sent."""
    words = arguments(data, tmp_path / "run", "--iterations", "4", "--workers", "2", settings=SETTINGS)
    words += ["--set", f"batch={batch}"]
    run = subprocess.run(
        [*own_mounts(f"mount -t tmpfs -o {options} tmpfs /dev/shm"), *COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=250,
    )
    *steps, last = run.stderr.splitlines()
    assert run.returncode == code, run.stderr
    assert last.startswith("cgnet-train: error: ")
    assert said in last
    assert [line for line in steps if not line.startswith("step ")] == []


def test_no_shared_memory_at_all_is_one_line(data: Path, tmp_path: Path) -> None:
    (dev := tmp_path / "dev").mkdir()
    devices = ("null", "urandom")
    for name in devices:
        (dev / name).touch()
    bare = own_mounts(*(f"mount --bind /dev/{name} {dev / name}" for name in devices), f"mount --rbind {dev} /dev")
    words = arguments(data, tmp_path / "run", "--iterations", "4", "--workers", "2")
    run = subprocess.run([*bare, *COMMAND, *words], capture_output=True, text=True, timeout=250)
    assert run.returncode == 2, run.stderr
    assert run.stderr.splitlines() == [
        "cgnet-train: error: /dev/shm, where processes share memory, can't be used: No such file or directory; "
        "--workers 0 reads in this process"
    ]


@pytest.mark.parametrize("before", [0, 1])
def test_workers_that_cannot_start_are_one_line(
    before: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a container may have no more processes; those that have started don't stay."""
    fork, forks = os.fork, count()

    def refused() -> int:
        if next(forks) < before:
            return fork()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refused)
    assert trained(data, tmp_path / "run", "--iterations", "4", "--workers", "2") == 1
    assert capsys.readouterr().err.splitlines() == [
        "cgnet-train: error: processes that read pictures can't be started or heard: Resource temporarily unavailable; "
        "--workers 0 reads in this process"
    ]
    assert multiprocessing.active_children() == []
