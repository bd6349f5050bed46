from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.bench.tools import robust
from cgnet_deploy.bench.tools.robust import CHANGES, blur, colours, contrast, gains, gamma, noise
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames, written
from tests.networks import drawn

GREY = np.full((4, 6, 3), 100, np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_gives_another_frame_of_the_same_kind_and_the_same_each_time(name: str) -> None:
    (frame,) = drawn_frames(1, 40, 56)
    before, changed = frame.copy(), CHANGES[name](frame)
    assert changed.shape == frame.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(changed, frame) == (name == "as it is")
    assert np.array_equal(CHANGES[name](frame), changed)
    assert np.array_equal(frame, before)


def test_changes_are_what_their_names_say() -> None:
    assert gamma(2.0)(GREY).ravel()[0] == 39  # 255 (100 / 255)^2
    assert gains(1.25, 1.0, 0.8)(GREY)[0, 0].tolist() == [125, 100, 80]
    assert gains(3.0, 3.0, 3.0)(GREY).max() == 255
    edge = np.concatenate([GREY, 2 * GREY])
    assert contrast(0.5)(edge)[[0, -1], 0, 0].tolist() == [125, 175]
    red = np.zeros((1, 1, 3), np.uint8) + np.array((0, 0, 200), np.uint8)
    assert colours(0, 0.0)(red)[0, 0].tolist() == [200, 200, 200]
    assert colours(60, 1.0)(red)[0, 0].tolist() == [0, 200, 0]  # 120 degrees on: green
    assert 7 < noise(8.0)(np.full((64, 64, 3), 128, np.uint8)).std() < 9
    assert blur(2.0)(edge)[3, 0, 0] > 110


def test_frames_are_of_the_size_and_batch_that_the_file_takes(tmp_path: Path) -> None:
    """Which need not be those of its input contract."""
    path = written(tmp_path / "tiny.onnx", "frames", (2, 40, 56)).path
    with open_engine(f"ort:{path}", threads=1) as engine:
        few: Any = SimpleNamespace(info=engine.info, infer=lambda frames: engine.infer(frames) * 0)  # of class 0 alone
        assert 0 < robust.miou(few, noise(8.0), open_dataset("scenes:0:40x56", "val"), range(3)) < 100


def test_each_engine_is_a_column_and_each_change_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = model_spec("camvid-official", 11, (3, 21))
    small = replace(spec, input=replace(spec.input, res=Res(40, 56)))
    save_checkpoint(tmp_path / "small.pth", drawn(11, (3, 21)), small, {})
    engine = str(tmp_path / "small.pth")
    words = ["--engine", engine, "--engine", engine, "--data", "scenes:0:40x56", "--every", "50", "--threads", "1"]
    assert robust.main(words) == 0
    heading, _, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == [engine, engine]
    assert [row.split("  ")[0] for row in rows] == [*CHANGES, "mean of the changed"]
    mious = np.array([row.split()[-2:] for row in rows], float)
    assert np.array_equal(mious[:, 0], mious[:, 1])
    assert len(np.unique(mious[:-1, 0])) > 3
    assert mious[-1, 0] == pytest.approx(mious[1:-1, 0].mean(), abs=0.01)
