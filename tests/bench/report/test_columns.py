"""The table of columns: every form of output is made from it, and users read of it in the documentation."""

from __future__ import annotations

from cgnet_deploy.bench.report.columns import COLUMNS, described


def test_every_column_is_shown_somewhere_and_says_what_it_is() -> None:
    assert all(column.help and (column.key or column.heading) for column in COLUMNS)


def test_no_name_is_given_twice() -> None:
    for names in ([column.key for column in COLUMNS], [column.heading for column in COLUMNS]):
        shown = [name for name in names if name]
        assert len(set(shown)) == len(shown)


def test_a_column_is_described_by_its_names_and_its_help() -> None:
    heading, rule, *lines = described().splitlines()
    assert len(lines) == len(COLUMNS)
    assert {line.count("|") for line in (heading, rule, *lines)} == {4}
    assert "| `latency_ms.p50` | `p50 ms` | median latency of one batch, ms |" in lines
