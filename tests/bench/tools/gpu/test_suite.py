"""The tests of a checkout as a part of the GPU's run: a row for all, one for each that failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cgnet_deploy.bench.tools.gpu import suite
from cgnet_deploy.bench.tools.gpu.testlog import Verdict
from tests.bench.tools.gpu.test_gpu import job
from tests.conftest import with_gpu_tests

TESTS_OF_A_GPU = """
import pytest

@MARK
def test_good(): pass

@MARK
def test_bad(): assert 1 + 1 == 3, "sums are off"

@MARK
def test_absent(): pytest.skip("no card")

@MARK
def test_at_the_end():
    END
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A folder with a conftest.py of ours and one file of tests, whose last one does as it is told."""

    def written(end: str) -> Path:
        (folder := tmp_path / "checkout" / "tests").mkdir(parents=True)
        (folder / "test_it.py").write_text(TESTS_OF_A_GPU.replace("END", end).replace("MARK", "pytest.mark." + "gpu"))
        (folder.parent / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
        monkeypatch.setattr(suite, "ROOT", folder.parent)
        return folder.parent

    return written


def test_each_test_that_fails_has_a_row(checkout: Callable[[str], Path], tmp_path: Path) -> None:
    checkout("pass")
    whole, failed = suite.run(job(tmp_path, 60))
    assert (whole.state, whole.outcome) == ("failed", "2 passed, 1 failed, 1 skipped")
    assert failed.subject == "tests/test_it.py::test_bad"
    assert "sums are off" in failed.outcome
    assert [(one["outcome"], one["why"]) for one in whole.details["tests"]][2] == ("skipped", "Skipped: no card")


def test_a_run_that_dies_keeps_the_results_that_it_had(checkout: Callable[[str], Path], tmp_path: Path) -> None:
    checkout("import os; os._exit(9)")
    whole, failed = suite.run(job(tmp_path, 60))
    words = "pytest ended with code 9 in tests/test_it.py::test_at_the_end"
    assert whole.outcome == f"1 passed, 1 failed, 1 skipped; {words}"
    assert (whole.state, failed.subject) == ("failed", "tests/test_it.py::test_bad")


def test_one_that_hangs_takes_no_time_from_the_others(
    checkout: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout("import threading; threading.Event().wait()")
    monkeypatch.setattr(suite, "TEST_LIMIT_S", 1)
    whole, _, hanging = suite.run(job(tmp_path, 60))
    assert whole.outcome == "1 passed, 2 failed, 1 skipped"
    assert hanging.subject == "tests/test_it.py::test_at_the_end"
    assert "Timeout" in hanging.outcome


@pytest.mark.parametrize(
    ("results", "stopped", "code", "row"),
    [
        (["passed", "begun"], "stopped after 48 s", 0, ("ran", "1 passed; stopped after 48 s in test 1")),
        (["begun"], "stopped after 48 s", 0, ("not run", "no test ended; stopped after 48 s in test 0")),
        ([], "stopped after 48 s", 0, ("not run", "no test ended; stopped after 48 s")),
        ([], "", 4, ("failed", "no test ended; no such option")),
        (["passed", "skipped"], "", 0, ("ran", "1 passed, 1 skipped")),
    ],
)
def test_what_is_said_of_a_run(results: list[str], stopped: str, code: int, row: tuple[str, str]) -> None:
    log = [Verdict(f"test {number}", outcome) for number, outcome in enumerate(results)]
    whole = suite.rows_of(log, stopped, "no such option", code)[0]
    assert (whole.state, whole.outcome) == row


def test_only_files_with_a_gpu_test_are_read_for_m_gpu() -> None:
    """Others may import what a machine with a GPU lacks, such as av and playwright."""
    marked = {path.relative_to(suite.ROOT / "tests").as_posix() for path in with_gpu_tests() if path.suffix == ".py"}
    assert {"engines/test_trt.py", "engines/test_contract.py", "engines/fast/test_engine.py"} <= marked
    optional = re.compile(r"^(import|from) (av|playwright)\b", re.MULTILINE)
    assert not [path for path in marked if optional.search((suite.ROOT / "tests" / path).read_text())]
    assert "video/test_cli.py" not in marked


def test_the_tests_of_a_checkout_are_found() -> None:
    assert (suite.ROOT / "tests" / "conftest.py").is_file()
