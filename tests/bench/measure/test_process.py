"""The process of an engine: what it says, how it fails, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy import errors
from cgnet_deploy.bench.measure.latency import Round, Warmed
from cgnet_deploy.bench.measure.opening import Open, Opened
from cgnet_deploy.bench.measure.process import EngineProcess, environment
from cgnet_deploy.errors import CgnetError, EngineUnavailable, UserError

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
PROGRAM = (sys.executable, str(Path(__file__).parents[1] / "stand_in.py"))


@contextmanager
def started(behaviour: str, stall_s: float = 60.0) -> Iterator[EngineProcess]:
    with EngineProcess(behaviour, 1, program=PROGRAM, stall_s=stall_s) as process:
        yield process
    assert process.process.poll() is not None  # whatever happened, it has ended and is no zombie


def opened(process: EngineProcess) -> Opened:
    return process.ask(Opened, "open", Open(process.name, None, None, 1))


Warm = tuple[str, str, None, str, float, int, int]


@pytest.fixture
def warm(tmp_path: Path) -> Warm:
    """What to ask so that the stand-in does one inference."""
    np.save(frames := tmp_path / "frames.npy", np.zeros((4, 32, 48, 3), np.uint8))
    return ("warm", "host", None, str(frames), 0.0, 1, 1)


def test_an_engine_says_what_it_is() -> None:
    with started("steady") as process:
        reply = opened(process)
    assert (reply.backend, reply.provider, reply.res, reply.batch) == ("stand-in", "steady", (32, 48), 4)
    assert reply.class_names[:2] == ("Sky", "Building")


@pytest.mark.parametrize("boundary", ["host", "e2e", "paced"])
def test_a_round_has_the_samples_asked_for(boundary: str, warm: Warm) -> None:
    with started("steady") as process:
        opened(process)
        fps = 1000.0 if boundary == "paced" else None
        assert process.ask(Warmed, "warm", boundary, fps, warm[3], 0.0, 3, 1).steps == 3
        taken = process.ask(Round, "measure", 0.0, 17)
        peak_mib = process.ask(float, "peak_memory_mib")
    assert len(taken.samples_ns) == 17
    assert 0 < sum(taken.samples_ns) <= taken.window_ns
    assert peak_mib > 10  # an interpreter with NumPy


def test_there_is_no_device_boundary_without_a_clock_of_the_device(warm: Warm) -> None:
    with started("steady") as process:
        opened(process)
        with pytest.raises(EngineUnavailable, match="time it at boundary host, not device"):
            process.ask(Warmed, "warm", "device", None, warm[3], 0.0, 1, 1)


def test_an_error_of_ours_arrives_with_its_exit_code_and_words() -> None:
    with started("needs a GPU") as process, pytest.raises(EngineUnavailable, match=r"^no GPU here$"):
        opened(process)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_of_ours_crosses_the_connection(kind: type[Exception]) -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        ours.send(kind("no"))
        error = theirs.recv()
    assert (type(error), str(error)) == (kind, "no")


def test_an_answer_of_another_kind_is_refused() -> None:
    with started("steady") as process:
        opened(process)
        with pytest.raises(CgnetError, match="answered 'peak_memory_mib' with float"):
            process.ask(int, "peak_memory_mib")


def test_a_bug_is_one_line(warm: Warm, capfd: pytest.CaptureFixture[str]) -> None:
    with started("has a bug") as process:
        opened(process)
        with pytest.raises(CgnetError, match="ZeroDivisionError: as asked") as raised:
            process.ask(Warmed, *warm)
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)
    assert "Traceback" in capfd.readouterr().err  # for whoever has to mend it


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("is killed", r"was killed by SIGKILL \(out of memory\?\)"), ("exits", "ended with code 7")],
)
def test_a_process_that_dies_is_one_line(behaviour: str, words: str, warm: Warm) -> None:
    with started(behaviour) as process:
        opened(process)
        with pytest.raises(CgnetError, match=f"^{behaviour}: its process {words}, asked to warm$"):
            process.ask(Warmed, *warm)


def test_a_process_that_dies_before_it_is_asked() -> None:
    with EngineProcess("x", 1, program=(sys.executable, "-c", "import sys; sys.exit(9)")) as process:
        process.process.wait()
        with pytest.raises(CgnetError, match="ended with code 9"):
            opened(process)


def test_a_process_that_hangs_is_given_up_and_ended(warm: Warm) -> None:
    with started("hangs") as process:
        opened(process)
        process.stall_s = 0.2
        with pytest.raises(CgnetError, match="hangs: 'warm' took more than 0 s"):
            process.ask(Warmed, *warm)
        process.process.kill()  # leaving would too, after giving it time to end by itself


def test_leaving_on_an_interrupt_ends_a_process_at_work(warm: Warm) -> None:
    process = EngineProcess("hangs", 1, program=PROGRAM)
    opened(process)
    process.connection.send((warm[0], warm[1:]))
    with pytest.raises(KeyboardInterrupt), process:
        raise KeyboardInterrupt
    assert process.process.returncode == -signal.SIGKILL


def test_what_a_runtime_prints_goes_to_stderr(warm: Warm, capfd: pytest.CaptureFixture[str]) -> None:
    with started("chatters") as process:
        opened(process)
        process.ask(Warmed, *warm)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "chatter" in captured.err


def test_a_request_out_of_order_is_refused(warm: Warm) -> None:
    with started("steady") as process, pytest.raises(CgnetError, match="the first message is 'warm', wanted 'open'"):
        process.ask(Warmed, *warm)


def test_threads_are_stated_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    started_with = environment(3)
    assert (started_with["OMP_NUM_THREADS"], started_with["MKL_NUM_THREADS"], started_with["OPENBLAS_NUM_THREADS"]) == (
        "3",
        "3",
        "3",
    )
    assert os.environ["OMP_NUM_THREADS"] == "64"


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')\n")
    monkeypatch.chdir(tmp_path)
    with EngineProcess("missing.onnx", 1) as process, pytest.raises(UserError, match=r"missing\.onnx does not exist"):
        opened(process)
