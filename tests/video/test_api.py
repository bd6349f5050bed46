"""A video from Python: what `segment_video` writes, what it returns, and that it prints nothing."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.errors import UsageError
from cgnet_deploy.video.api import segment_video
from tests.engines.graphs import logits_of, written
from tests.video.clips import H, W, clip, drawn, frames_of


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    written(tmp_path / "tiny.onnx", "frames", (1, H, W))
    clip(tmp_path / "in.avi", drawn(6))
    return tmp_path / "tiny.onnx"


def test_a_video_from_python(engine: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = segment_video(engine, tmp_path / "in.avi", tmp_path / "out.mp4", masks=tmp_path / "masks", threads=1)
    assert capfd.readouterr() == ("", "")
    assert (outcome.frames, outcome.stopped, outcome.trouble, outcome.engine) == (6, False, None, str(engine))
    assert outcome.summary().startswith("6 frames in ")
    assert outcome.to_json()["complete"] is True
    assert len(frames_of(tmp_path / "out.mp4")) == 6
    mask = cv2.imread(str(tmp_path / "masks" / "000005.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, logits_of(np.stack(drawn(6)[5:])).argmax(1)[0])


def test_a_video_that_is_stopped_before_it_begins_writes_nothing(engine: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    outcome = segment_video(engine, tmp_path / "in.avi", tmp_path / "out.mp4", threads=1, stopped=lambda: True)
    assert (outcome.frames, outcome.fps, outcome.to_json()["complete"]) == (0, 0, False)
    assert sorted(os.listdir(tmp_path)) == before


def test_nothing_to_do_is_an_error(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to do"):
        segment_video(engine, tmp_path / "in.avi")
