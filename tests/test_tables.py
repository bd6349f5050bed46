"""A text table lines up, and is the same on a terminal, in a pipe and in a file."""

from __future__ import annotations

import pytest

from cgnet_deploy.tables import text_table


def test_text_goes_left_and_numbers_go_right() -> None:
    assert text_table(("engine", "ms", "note"), [("a.onnx", "1.5", ""), ("b", "10.5", "slow")], right=("ms",)) == (
        "engine    ms  note\n"  #
        "------------------\n"
        "a.onnx   1.5\n"
        "b       10.5  slow"
    )


def test_nothing_is_cut_off_or_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a very long name " * 30
    assert text_table(("x", "y"), [(name, name)]).splitlines()[-1] == f"{name}  {name}".rstrip()


def test_text_is_never_taken_for_markup_nor_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert text_table(("[bold]x",), [("[red]a.onnx :smile: 1.5",)]).splitlines()[::2] == [
        "[bold]x",
        "[red]a.onnx :smile: 1.5",
    ]
