"""The warnings that go with rows."""

from __future__ import annotations

from cgnet_deploy.bench.notes import notes
from tests.bench.records import record


def test_a_steady_row_of_enough_samples_needs_no_note() -> None:
    assert list(notes([record(rounds_ms=((10.0, 10.1) * 500,))])) == []


def test_a_scattered_row_is_noted() -> None:
    (line,) = notes([record(rounds_ms=((10.0, 15.0) * 500,))])
    assert line.startswith("note: a.onnx at e2e: samples vary by 20% (CV)")


def test_a_row_that_never_settled_is_noted() -> None:
    (line,) = notes([record(rounds_ms=((10.0,) * 1000,), settled=False)])
    assert "had not settled" in line


def test_a_missing_p99_is_explained_once() -> None:
    assert list(notes([record(), record()])).count("note: p99 needs 1000 samples a row: --iterations 1000") == 1
