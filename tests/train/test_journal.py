"""What a run keeps of itself: the log, cut back when a run goes on, and the curves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.train.journal import Interval, Journal, Validation
from tests.train.runs import log_of


def entry(step: int) -> Interval:
    return Interval(step, loss=1.0 / step, lr=1e-3, grad_norm=2.0, img_per_s=8.0)


def journal_of(folder: Path, steps: int) -> Journal:
    journal = Journal(folder, 0)
    for step in range(1, steps + 1):
        journal.interval(entry(step))
    journal.validation(Validation(steps, 0.5, {"Sky": 0.5, "Pole": None}))
    journal.close()
    return journal


def test_a_line_an_interval_and_one_a_validation(tmp_path: Path) -> None:
    journal_of(tmp_path, 3)
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 3]
    assert lines[1] == {"step": 2, "loss": 0.5, "lr": 1e-3, "grad_norm": 2.0, "img_per_s": 8.0}
    assert lines[3] == {"step": 3, "miou": 0.5, "iou": {"Sky": 0.5, "Pole": None}}


def test_going_on_drops_what_came_after(tmp_path: Path) -> None:
    journal_of(tmp_path, 5)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6})[:5])  # killed in the middle of a line
    Journal(tmp_path, 3).interval(entry(4))
    assert [line["step"] for line in log_of(tmp_path)] == [1, 2, 3, 4]


def test_a_new_run_starts_a_new_log(tmp_path: Path) -> None:
    journal_of(tmp_path, 5)
    Journal(tmp_path, 0)
    assert log_of(tmp_path) == []


def test_curves_show_the_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert journal_of(tmp_path, 30).draw()
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None
    assert picture.shape[0] > 300
    (tmp_path / "empty").mkdir()
    assert Journal(tmp_path / "empty", 0).draw()
    blank = cv2.imread(str(tmp_path / "empty" / "curves.png"))
    assert blank is not None
    coloured = [int((np.ptp(p.astype(int), axis=2) > 60).sum()) for p in (picture, blank)]
    assert coloured[0] > 300  # lines, drawn in colour
    assert coloured[1] == 0


def test_an_interval_in_one_line() -> None:
    assert entry(40).text(100, 30) == "step 40/100  loss 0.0250  lr 1.00e-03  8.0 img/s  0:30 left"
