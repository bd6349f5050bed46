"""`make interop` by its parts: a cell in a process of its own, what counts as equal, and the page."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.tools.interop import __main__ as interop
from cgnet_deploy.bench.tools.interop import cells, consumers
from cgnet_deploy.bench.tools.interop.cells import Cell, cell, last_words
from cgnet_deploy.bench.tools.interop.consumers import CONSUMERS, SNIPPETS, Consumer
from cgnet_deploy.bench.tools.interop.files import KINDS, File, share
from cgnet_deploy.bench.tools.interop.page import page
from tests.engines.graphs import FIXED, drawn_frames, logits_of, written


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An environment that is this one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> File:
    frames = tuple(drawn_frames(1, 40, 56, seed=seed) for seed in range(12))
    labels = tuple(logits_of(each).argmax(1).astype(np.uint8) for each in frames)
    tiny = written(tmp_path / "tiny.onnx", "frames", FIXED)
    return File(KINDS[0], "frames", tiny.path, tiny.sha256, len(frames), frames, labels)


def consumer(snippet: str) -> Consumer:
    return Consumer("here", "Here", snippet, ())


def test_a_snippet_runs_in_its_own_process_and_every_batch_counts(place: Path, file: File) -> None:
    assert cell(consumer("onnxruntime.py"), file, place) == Cell("here", "f32", "frames", 1.0, "", 12, file.sha256)
    off = replace(file, labels=(file.labels[0] ^ np.uint8(1), *file.labels[1:]))
    assert cell(consumer("onnxruntime.py"), off, place).equal == pytest.approx(11 / 12)


def test_a_refusal_is_in_the_consumer_s_own_words(place: Path, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "SNIPPETS", place)
    (place / "odd.py").write_text("def load(path):\n    raise ValueError('no such operator in /tmp/x/odd.onnx')\n")
    assert cell(consumer("odd.py"), file, place).words == "ValueError: no such operator in odd.onnx"
    (place / "crash.py").write_text("import os\n\n\ndef load(path):\n    os.kill(os.getpid(), 8)\n")
    assert cell(consumer("crash.py"), file, place).words == "killed by signal 8"
    (place / "small.py").write_text("def load(path):\n    return lambda x: x[:, ::2]\n")
    assert cell(consumer("small.py"), file, place).words.startswith("gives another shape: ")


def test_the_line_that_names_an_error_is_quoted_before_the_last_one() -> None:
    ran = subprocess.CompletedProcess([], 1, "cv2.error: Gather is refused\n", "3: alloc::Error\nbye\n")
    assert last_words(ran) == "cv2.error: Gather is refused"
    ran.stderr = "cv2.error: in handleNode\n> Node [Gather]: refused\n\n"
    assert last_words(ran) == "> Node [Gather]: refused"
    ran.returncode = -6
    assert last_words(ran) == "killed by signal 6: > Node [Gather]: refused"


def test_logits_count_by_their_argmax() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 3, 4, 5))
    labels = logits.argmax(1).astype(np.uint8)
    assert share((labels,), [logits]) == share((labels,), [labels[:, None]]) == 1
    assert share((labels,), [-logits]) < 0.5


def test_the_page_marks_what_is_wrong_and_quotes_refusals() -> None:
    cells = [
        Cell("cv5", "f32", "frames", 1.0),
        Cell("cv5", "f32", "tensor", 0.9999),
        Cell("cv5", "int8", "frames", 0.9995),
        Cell("cv5", "int8", "tensor", None, "no such operator"),
    ]
    text = page(cells)
    (row,) = [line for line in text.splitlines() if line.startswith("| OpenCV 5 |")]
    assert [part.strip() for part in row.split("|")[2:5]] == ["100 / **99.99**", "- / -", "99.95 / no"]
    assert "int8 (tensor): no such operator\n" in text
    assert "pip install opencv-python-headless==5.0.0.93" in text


def test_every_consumer_has_a_snippet_and_a_name_of_its_own() -> None:
    assert all((SNIPPETS / one.snippet).is_file() for one in CONSUMERS)
    assert len({one.key for one in CONSUMERS}) == len(CONSUMERS)
    assert {path.name for path in SNIPPETS.glob("*.*")} == {one.snippet for one in consumers.CONSUMERS}


def test_a_run_that_was_stopped_goes_on_and_a_new_file_is_tried_again(
    tmp_path: Path, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = replace(file, sha256="0" * 64)
    given, tried = [file], []

    def once(consumer: Consumer, one: File, place: Path) -> Cell:
        tried.append(one.sha256)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return Cell(consumer.key, one.kind.name, one.io, 1.0, "", one.frames, one.sha256)

    monkeypatch.setattr(interop, "files", lambda *_: given)
    monkeypatch.setattr(interop, "environment", lambda *_: tmp_path)
    monkeypatch.setattr(interop, "cell", once)
    flags = ["--folder", str(tmp_path / "kept"), "--consumer", "ort115", "--consumer", "cv5"]
    assert interop.main(flags) == 130
    assert interop.main(flags) == 0
    assert tried == [file.sha256] * 3  # cv5's twice
    given = [newer]
    assert interop.main(flags) == 0
    assert tried[3:] == [newer.sha256] * 2


def test_what_was_tried_on_more_frames_has_a_table_of_its_own() -> None:
    cells = [Cell("cv5", "f32", "frames", equal, "", count) for equal, count in ((0.5, 2), (1.0, 2), (0.99999125, 101))]
    rows = [line for line in page(cells).splitlines() if line.startswith("| OpenCV 5 |")]
    assert [row.split("|")[2:5] for row in rows[:1]] == [[" 100 / - ", " - / - ", " - / - "]]
    assert rows[1:] == ["| OpenCV 5 | f32 | frames | 101 | 99.99912 |"]
