"""The warnings that go with rows."""

from __future__ import annotations

import pytest

from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.report.notes import notes
from tests.bench.records import record


def test_a_steady_row_of_enough_samples_needs_no_note() -> None:
    assert list(notes([record(rounds_ms=((10.0, 10.1) * 500,))])) == []


def test_a_scattered_row_is_noted() -> None:
    (line,) = notes([record(rounds_ms=((10.0, 15.0) * 500,))])
    assert line.startswith("note: a.onnx at e2e: samples vary by 20% (CV)")


def test_a_row_that_never_settled_is_noted() -> None:
    (line,) = notes([record(rounds_ms=((10.0,) * 1000,), settled=False)])
    assert "had not settled" in line


def test_what_held_a_row_back_is_noted() -> None:
    (line,) = notes([record(rounds_ms=((10.0,) * 1000,), throttled=("CPU: too hot", "GPU: power cap"))])
    assert line == "note: a.onnx at e2e: held back while it was timed: CPU: too hot, GPU: power cap"


def test_a_missing_p99_is_explained_once() -> None:
    assert list(notes([record(), record()])).count("note: p99 needs 1000 samples a row: --iterations 1000") == 1


@pytest.mark.parametrize(
    ("inner", "outer", "inner_ms", "outer_ms", "words"),
    [
        ("device", "host", 8, 10.1, "launch-bound: 10.100 ms to submit and wait, 8.000 ms of work"),
        ("device", "host", 8, 9.9, None),
        ("host", "e2e", 5, 10.1, "transfer-bound: 10.100 ms from frame to labels, 5.000 ms of them in the network"),
        ("host", "e2e", 5, 9.9, None),
    ],
)
def test_what_holds_an_engine_back(
    inner: Boundary, outer: Boundary, inner_ms: float, outer_ms: float, words: str | None
) -> None:
    rows = [
        record(rounds_ms=((inner_ms,) * 1000,), boundary=inner),
        record(rounds_ms=((outer_ms,) * 1000,), boundary=outer),
    ]
    lines = list(notes(rows))
    assert len(lines) == (words is not None)
    assert all(words is not None and words in line for line in lines)


def test_engines_are_not_held_against_each_other() -> None:
    rows = [record("a", ((1.0,) * 1000,), boundary="host"), record("b", ((9.0,) * 1000,), boundary="e2e")]
    assert list(notes(rows)) == []
