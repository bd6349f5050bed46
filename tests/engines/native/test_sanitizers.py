"""The CPU engine, built with sanitizers, on spoiled files, several sizes, threads and instruction sets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.engines.native.conftest import exported, linked, runnable, want
from tests.engines.test_nativecpu import saved
from tests.networks import drawn

pytestmark = pytest.mark.timeout(1200)  # two builds, which a busy machine of two cores takes minutes for


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of few blocks: sanitized code loads it a hundred times."""
    folder = tmp_path_factory.mktemp("small")
    return exported(saved(folder / "small.pth", drawn(5, (2, 3), bias=True)), folder)


@pytest.mark.parametrize(("sanitizer", "cases"), [("address,undefined", 100), ("thread", 0)])
def test_the_engine_is_clean(sanitizer: str, cases: int, small: tuple[Path, ...], tmp_path: Path) -> None:
    want("cmake", "c++", "ninja")
    flags = ("-Og", "-g1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    program = linked("abuse.cpp", tmp_path, flags, *runnable())
    for file in small:
        run = subprocess.run([str(program), str(file), str(cases)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr[-4000:]
        refused = int(re.findall(r"(\d+) refused", run.stdout)[0])
        assert refused > cases / 4 or not cases
    if cases:
        run = subprocess.run([linked("sums.cpp", tmp_path, flags), "400"], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr[-4000:]
