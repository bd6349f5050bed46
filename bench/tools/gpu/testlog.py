"""A plugin of pytest that writes down each result when it is there, so that a run that is ended keeps what it had.

CGNET_TEST_LOG=tests.jsonl python -m pytest -p cgnet_deploy.bench.tools.gpu.testlog
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cgnet_deploy.errors import last_line

if TYPE_CHECKING:
    import pytest

VARIABLE = "CGNET_TEST_LOG"
OUTCOMES = ("passed", "failed", "skipped")
BEGUN = "begun"
MAX_LOG_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """outcome: one of OUTCOMES, or BEGUN for the test that was at work when pytest was ended. why: unless it passed."""

    name: str
    outcome: str
    why: str = ""
    seconds: float = 0.0


def pytest_runtest_logstart(nodeid: str) -> None:
    _write(Verdict(nodeid, BEGUN))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test passes once, in its call; it may fail or be skipped before or after."""
    if report.when == "call" or not report.passed:
        why = "" if report.passed else last_line(_reason(report))
        _write(Verdict(report.nodeid, report.outcome, why, round(report.duration, 2)))


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # file, line and reason of a skip
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return (str(crash.message).splitlines() or [""])[0] if crash else str(report.longrepr)


def _write(one: Verdict) -> None:
    with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(one)) + "\n")


def read(log: Path) -> list[Verdict]:
    """The last word on each test, in the order in which they began; none if there is no file."""
    if not log.exists():
        return []
    with log.open(encoding="utf-8") as file:
        lines = file.read(MAX_LOG_BYTES).splitlines()
    said: dict[str, Verdict] = {}
    for line in lines:
        one = Verdict(**json.loads(line))
        if one.outcome != "passed" or said.get(one.name, one).outcome == BEGUN:
            said[one.name] = one
    return list(said.values())
