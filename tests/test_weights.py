"""A checkpoint of several sets of weights, in every command and call that takes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cgnet_deploy import start
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.train.initial import Initial
from cgnet_deploy.video.segmenter import Segmenter
from tests.engines.graphs import drawn_frames
from tests.files import named, saved
from tests.networks import drawn

MODELS = {"raw": drawn(11), "ema": drawn(11, seed=1)}
FRAME = drawn_frames(1, 64, 96)[0]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    path = tmp_path / "both.pth"
    names = {"raw": "state_dict", "ema": "state_dict_ema"}
    path.write_bytes(saved({names[one]: named(model, "official") for one, model in MODELS.items()}))
    return path


@pytest.mark.parametrize(("asked", "got"), [(None, "raw"), ("raw", "raw"), ("ema", "ema"), ("state_dict_ema", "ema")])
def test_an_engine_runs_the_chosen_set(asked: str | None, got: str, both: Path) -> None:
    with open_engine(f"torch:{both}", res="64x96", weights=asked) as engine:
        tensor = torch.from_numpy(to_tensor(FRAME[None], engine.info.spec.input))
        labels = engine.infer(FRAME[None])
    with torch.inference_mode():
        wanted = {name: model(tensor).argmax(1).numpy() for name, model in MODELS.items()}
    assert (labels == wanted[got]).mean() > 0.99
    assert (wanted["raw"] == wanted["ema"]).mean() < 0.9
    with Segmenter(f"torch:{both}", res="64x96", weights=asked) as segmenter:
        np.testing.assert_array_equal(segmenter.segment(FRAME), labels[0])


def test_training_starts_from_the_chosen_set(both: Path) -> None:
    weight = Initial.read(both, "ema").model.classifier.weight
    assert torch.equal(weight, MODELS["ema"].classifier.weight)


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], tuple[str, ...]]] = {
    "bench": (start.bench, ("--engine", "both.pth")),
    "convert": (start.convert, ("--ckpt", "both.pth", "--to", "cgnet", "out.pth")),
    "doctor": (start.doctor, ("--ckpt", "both.pth", "--data", "scenes")),
    "export": (start.export, ("--ckpt", "both.pth", "--no-engine")),
    "label": (start.label, ("--engine", "both.pth", "--input", ".", "--output", "masks")),
    "train": (start.train, ("--init", "both.pth", "--data", "scenes", "--out", "run")),
    "tune": (start.tune, ("--ckpt", "both.pth", "--data", "scenes")),
    "video": (start.video, ("--engine", "both.pth", "--input", "a.png", "--masks", "masks")),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_takes_a_checkpoint_lets_choose(
    command: str, both: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(both.parent)
    cv2.imwrite("a.png", FRAME)
    run, words = COMMANDS[command]
    assert run([*words, "--weights", "none"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "both.pth holds no weights called none; choose with --weights ema or raw or 'state_dict'" in line


@pytest.mark.parametrize(("command", "flag"), [("doctor", "--ckpt"), ("train", "--init")])
def test_a_choice_without_a_checkpoint_is_refused(
    command: str, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--weights", "ema", *(("--data", "scenes", "--out", str(tmp_path / "run")) if command == "train" else ())]
    assert COMMANDS[command][0](words) == 2
    assert f"--weights goes with {flag}: " in capsys.readouterr().err
