"""The project's tests that need a GPU, as one part of the run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cgnet_deploy.bench.tools.gpu import testlog
from cgnet_deploy.bench.tools.gpu.job import Job
from cgnet_deploy.bench.tools.gpu.rows import Result, State
from cgnet_deploy.errors import last_line

ROOT = Path(__file__).resolve().parents[3]  # of a checkout: the tests are there
SUBJECT = "pytest -m gpu"
TEST_LIMIT_S = 20  # of one test: one that hangs must not take the others' time


def run(job: Job) -> list[Result]:
    """pytest -m gpu: one row for all, and one for each that failed. What is stopped keeps the results that it had."""
    if not (ROOT / "tests").is_dir():
        return [Result(SUBJECT, "not run", "the tests aren't installed: run this in a checkout")]
    absent = [name for name in ("pytest", "pytest_timeout") if importlib.util.find_spec(name) is None]
    if absent:
        return [Result(SUBJECT, "not run", f"not installed: {', '.join(absent)}")]
    command = [
        *(sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"),
        *("-p", testlog.__name__, f"--timeout={TEST_LIMIT_S}"),
    ]
    with tempfile.TemporaryDirectory(prefix="cgnet-gpu-") as folder:
        log = Path(folder) / "tests.jsonl"
        stopped, said, code = "", "", 0
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, testlog.VARIABLE: str(log)},
                timeout=max(job.left_s - 2, 1),
            )
            said, code = last_line(ended.stdout or ended.stderr), ended.returncode
        except subprocess.TimeoutExpired as error:
            stopped = f"stopped after {error.timeout:.0f} s"
        return rows_of(testlog.read(log), stopped, said, code)


def rows_of(results: Sequence[testlog.Verdict], stopped: str, said: str, code: int) -> list[Result]:
    """The rows. stopped: why pytest didn't end by itself, or empty. said: its last line. code: its exit code."""
    kinds = Counter(one.outcome for one in results)
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in testlog.OUTCOMES if kinds[kind])
    begun = [one.name for one in results if one.outcome == testlog.BEGUN]
    failed = [one for one in results if one.outcome == "failed"]
    died = not stopped and (bool(begun) or code not in (0, 1))  # pytest's 1: a test failed
    why = stopped
    if died:
        why = f"pytest ended with code {code}" if begun else said
    if begun:
        why += f" in {begun[0]}"
    state: State = "failed" if failed or died else "ran" if counts else "not run"
    outcome = "; ".join(filter(None, (counts or "no test ended", why)))
    everything = {"tests": [asdict(one) for one in results]}
    return [Result(SUBJECT, state, outcome, everything), *(Result(one.name, "failed", one.why) for one in failed)]
