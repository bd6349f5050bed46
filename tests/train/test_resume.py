"""Stopped in every way a run can be stopped, and going on as if it never was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.train import learner as learner_module
from cgnet_deploy.train.learner import Learner
from tests.children import interruptible
from tests.data.trees import camvid_tree
from tests.train.runs import TINY, arguments, log_of, losses, started, trained

STEPS_TO_A_SIGNAL = 7


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return camvid_tree(tmp_path_factory.mktemp("camvid"), images=4)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).model.state_dict()


def largest_difference(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    return max(float((first[key].double() - second[key].double()).abs().max()) for key in first)


def test_kill_9_and_resume_end_in_the_same_weights(data: Path, tmp_path: Path) -> None:
    """30 steps straight, and 10 + kill -9 + the rest: bitwise equal on one thread, checkpoints and log."""
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert trained(data, straight, "--iterations", "30") == 0
    process = started("cgnet_deploy.train.cli", arguments(data, stopped, "--iterations", "30"))
    assert process.stderr is not None
    for line in process.stderr:
        if "step 11/30" in line:  # step 10 has been saved
            process.kill()
            break
    assert process.wait() == -signal.SIGKILL
    assert trained(data, stopped, "--iterations", "30", "--resume") == 0
    assert largest_difference(straight / "last.pth", stopped / "last.pth") == 0
    assert losses(straight) == losses(stopped)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@interruptible()
def test_a_signal_is_a_clean_stop(
    number: signal.Signals,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    learn = Learner.learn

    def interrupted(self: Learner, images: torch.Tensor, labels: torch.Tensor, lr: float) -> tuple[torch.Tensor, ...]:
        if self.step == STEPS_TO_A_SIGNAL:
            os.kill(os.getpid(), number)
        return learn(self, images, labels, lr)

    handler = signal.getsignal(number)
    monkeypatch.setattr(learner_module.Learner, "learn", interrupted)
    assert trained(data, tmp_path, "--iterations", "20") == 128 + number
    assert signal.getsignal(number) is handler
    assert f"stopped by {number.name} at step 8; --resume goes on" in capsys.readouterr().err
    monkeypatch.undo()
    assert trained(data, tmp_path, "--iterations", "20", "--resume") == 0
    assert [line["step"] for line in log_of(tmp_path) if "loss" in line] == list(range(1, 21))


def test_a_time_limit_is_a_clean_end(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(data, tmp_path, "--iterations", "20", "--time-limit", "0") == 0
    output = capsys.readouterr()
    assert "time limit at step 1 of 20; --resume goes on" in output.err
    assert output.out == ""
    assert trained(data, tmp_path, "--iterations", "20", "--resume") == 0
    assert "| CGNet | M2N2 | 32x32 | trapezoid 20 |" in capsys.readouterr().out


def test_best_and_last(data: Path, tmp_path: Path) -> None:
    settings = (*TINY[:-1], "validate_every=5")
    assert trained(data, tmp_path, "--iterations", "15", settings=settings) == 0
    scores = [line["miou"] for line in log_of(tmp_path) if "miou" in line]
    assert len(scores) == 3
    best, last = (load_checkpoint(tmp_path / name) for name in ("best.pth", "last.pth"))
    assert best.provenance["val_miou"] == f"{max(scores):.4f}"
    assert best.provenance["step"] == f"{5 * (1 + scores.index(max(scores)))} of 15"
    assert last.provenance["step"] == "15 of 15"
    assert best.spec.name == "M2N2"
    assert best.spec.input.color == "rgb"


def test_a_run_goes_on_only_as_itself(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(data, tmp_path, "--iterations", "2") == 0
    before = (tmp_path / "last.pt").read_bytes()
    assert trained(data, tmp_path, "--iterations", "2") == 2
    assert "holds a run already: --resume goes on" in capsys.readouterr().err
    assert trained(data, tmp_path, "--iterations", "2", "--resume") == 0
    assert "is complete already: it ended at step 2" in capsys.readouterr().err
    assert trained(data, tmp_path, "--iterations", "2", "--resume", "--set", "seed=5") == 2
    assert "is of another run (seed was 0, is 5)" in capsys.readouterr().err
    assert trained(data, tmp_path / "empty", "--iterations", "2", "--resume") == 2
    assert "there is no run to --resume" in capsys.readouterr().err
    assert (tmp_path / "last.pt").read_bytes() == before
    for content in (b"", before[:1000], b"garbage" * 100):
        (tmp_path / "last.pt").write_bytes(content)
        assert trained(data, tmp_path, "--iterations", "2", "--resume") == 2
        assert "can't be read as a training state" in capsys.readouterr().err


def test_starting_from_weights(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert trained(data, first, "--iterations", "3") == 0
    still = (*TINY, "optimiser.lr=0", "frozen_bn=true", "ema=0")
    assert trained(data, second, "--iterations", "1", "--init", str(first / "last.pth"), settings=still) == 0
    assert largest_difference(first / "last.pth", second / "last.pth") == 0
    assert load_checkpoint(first / "last.pth").provenance["started_from"] == "fresh weights"
    assert load_checkpoint(second / "last.pth").provenance["started_from"].startswith("last.pth, sha256 ")
    deeper = (*TINY, "blocks=2,3")
    capsys.readouterr()
    assert (
        trained(data, tmp_path / "third", "--iterations", "1", "--init", str(first / "last.pth"), settings=deeper) == 2
    )
    assert "has blocks (2, 2), the recipe (2, 3)" in capsys.readouterr().err
