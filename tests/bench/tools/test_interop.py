"""`make interop` by its parts: a cell in a process of its own, what counts as equal, and the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
    return File(KINDS[0], "frames", written(tmp_path / "tiny.onnx", "frames", FIXED).path, frames, labels)


def consumer(snippet: str) -> Consumer:
    return Consumer("here", "Here", snippet, ())


def test_a_snippet_runs_in_its_own_process_and_every_batch_counts(place: Path, file: File) -> None:
    assert cell(consumer("onnxruntime.py"), file, place) == Cell("here", "f32", "frames", 1.0)
    off = File(file.kind, file.io, file.path, file.batches, (file.labels[0] ^ np.uint8(1), *file.labels[1:]))
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
    text = page(cells, 2)
    (row,) = [line for line in text.splitlines() if line.startswith("| OpenCV 5 |")]
    assert [part.strip() for part in row.split("|")[2:5]] == ["100 / **99.99**", "- / -", "99.95 / no"]
    assert "int8 (tensor): no such operator\n" in text
    assert "pip install opencv-python-headless==5.0.0.93" in text


def test_every_consumer_has_a_snippet_and_a_name_of_its_own() -> None:
    assert all((SNIPPETS / one.snippet).is_file() for one in CONSUMERS)
    assert len({one.key for one in CONSUMERS}) == len(CONSUMERS)
    assert {path.name for path in SNIPPETS.glob("*.*")} == {one.snippet for one in consumers.CONSUMERS}
