"""Tests that interrupt a program end even where the parent of all ignores SIGINT, as scripts do for jobs of theirs."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ONE = "tests/bench/test_cli.py::test_an_interrupt_ends_the_engines_too"
IGNORING = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
MOST_S = 120


def interrupting(path: Path) -> list[tuple[str, str]]:
    """The tests of a file that mention SIGINT: name and source, decorators included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    sources = [(node.name, "\n".join(map(ast.unparse, [*node.decorator_list, node]))) for node in tests]
    return [(name, source) for name, source in sources if "SIGINT" in source]


def test_a_test_that_interrupts_a_program_ends_where_the_signal_is_ignored() -> None:
    command = [*IGNORING, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE]
    with subprocess.Popen(
        command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=MOST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the benchmark that it waits for too
            pytest.fail(f"it has not ended after {MOST_S} s")
    assert process.returncode == 0, said
    assert "1 passed" in said


def test_every_test_that_sends_the_signal_makes_sure_that_it_arrives() -> None:
    tests = {path: interrupting(path) for path in HERE.rglob("test_*.py") if path != Path(__file__).resolve()}
    assert sum(map(len, tests.values())) >= 5
    deaf = [(file, name) for file, those in tests.items() for name, source in those if "interruptible()" not in source]
    assert not deaf, "decorate these with @interruptible()"
