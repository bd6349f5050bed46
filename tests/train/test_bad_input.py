"""What a user can get wrong, and what can go wrong: one clear line, the right exit code, nothing destroyed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from tests.data.trees import camvid_tree, spoil, write
from tests.train.runs import TINY, trained


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return camvid_tree(tmp_path / "camvid")


Fault = Callable[[Path], object]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda d: d.rename(d.with_name("moved")), "does not exist; wanted"),
        (
            lambda d: [p.rename(p.with_name(p.name + "s")) for p in list(d.iterdir())],
            "is not in a known data set format",
        ),
        (lambda d: [p.unlink() for p in (d / "train").iterdir()], "holds no picture"),
        (lambda d: (d / "trainannot" / "train1.png").unlink(), "has no mask"),
        (lambda d: write(d / "trainannot" / "train1.png", np.full((48, 64), 77, np.uint8)), "holds the label 77"),
        (lambda d: write(d / "valannot" / "val0.png", np.zeros((48, 60), np.uint8)), "its image val0.png is 48x64"),
        (lambda d: (d / "train" / "train1.png").write_bytes(b"no picture"), "is not a PNG, JPEG, WebP"),
    ],
)
def test_data(fault: Fault, message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault(data)
    assert trained(data, tmp_path / "out", "--iterations", "2") == 2
    output = capsys.readouterr()
    assert message in output.err.splitlines()[-1]
    assert "Traceback" not in output.err
    assert output.out == ""
    assert not list((tmp_path / "out").glob("*.pt*"))


def test_a_cut_picture_to_score_is_found_before_the_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cgnet_deploy.data.memory.MAX_BYTES", 0)  # the data set is too large to be read before
    monkeypatch.setattr("cgnet_deploy.train.training.Learner", None)
    spoil(data / "val" / "val2.png", "cut")
    assert trained(data, tmp_path / "out", "--iterations", "2") == 2
    assert "val2.png" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "optimizer.lr=1"], "did you mean optimiser?"),
        (["--set", "optimiser.lr=fast"], "wanted a value like 0.003"),
        (["--set", "batch"], "is not KEY=VALUE"),
        (["--set", "input.mean=1,2"], "wanted a value like"),
        (["--set", "class_weights=1"], "can't be changed on the command line"),
        (["--set", "batch=0"], "batch = 0: must be at least 1"),
        (["--set", "amp=true"], "amp=true needs a GPU"),
        (["--set", "captured=true"], "captured=true needs a GPU"),
        (["--epochs", "0"], "--epochs: must be an integer between 1 and"),
        (["--iterations", "1", "--epochs", "1"], "not allowed with"),
        (["--init", "missing.pth"], "missing.pth"),
        (["--device", "cuda"], "torch sees no GPU"),
        (["--iteration", "4"], "did you mean --iterations?"),
    ],
)
def test_usage(more: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available() and {"amp=true", "captured=true", "cuda"} & {*more}:
        pytest.skip("there is a GPU here")
    assert trained(data, tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_an_unknown_recipe(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(data, tmp_path / "out", recipe="camvd") == 2
    assert "camvid-official" in capsys.readouterr().err


def test_an_output_folder_that_is_a_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").touch()
    assert trained(data, tmp_path / "out") == 2
    assert "out is no folder" in capsys.readouterr().err


def test_a_loss_that_is_no_number(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = (*TINY, "optimiser.lr=1e38", "save_every=1", "schedule.rise=4")
    out = tmp_path / "out"
    assert trained(data, out, "--iterations", "30", settings=wild) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "training diverged" in line
    assert "lower optimiser.lr" in line
    if (out / "last.pth").exists():  # whatever was saved can be loaded, which a NaN in it would prevent
        load_checkpoint(out / "last.pth")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 7 MiB: room for one state of a small network, not for two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=7m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_the_last_state(data: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = (*TINY[:-2], "save_every=2", "validate_every=1000")
    assert trained(data, small_disk, "--iterations", "8", settings=settings) == 1
    assert "can't be written: No space left on device" in capsys.readouterr().err.splitlines()[-1]
    load_checkpoint(small_disk / "last.pth")
    assert torch.load(small_disk / "last.pt", weights_only=True)["learner"]["step"] == 2
    assert not list(small_disk.glob(".*tmp"))
