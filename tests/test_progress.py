"""Progress of long work: a line at each quarter in the log, or bars on a terminal."""

from __future__ import annotations

import logging

import pytest

from cgnet_deploy.progress import display, task, track


@pytest.mark.parametrize(("total", "lines"), [(19, 0), (20, 4), (101, 4)])
def test_each_quarter_is_a_line_in_the_log(total: int, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="cgnet_deploy"):
        assert list(track(range(total), total, "reading")) == list(range(total))
    assert caplog.messages == [f"reading: {quarter} %" for quarter in (25, 50, 75, 100)][:lines]


def test_work_that_goes_on_says_as_many_lines_as_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="cgnet_deploy"), task("training", 1000, done=500, lines=100) as work:
        for step in range(501, 1001):
            work.update(step, f"step {step}")
    assert caplog.messages == [f"training: {share} %  step {10 * share}" for share in range(51, 101)]


def test_an_embedding_program_is_not_printed_at(capfd: pytest.CaptureFixture[str]) -> None:
    assert sum(track(range(100), 100, "adding")) == 4950
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_no_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with caplog.at_level(logging.INFO, logger="cgnet_deploy"), display(), task("training", 100) as work:
        for step in range(100):
            work.update(step + 1, f"loss {1 / (step + 1):.2f}")
    assert caplog.messages == []
    assert "training" in capsys.readouterr().err
