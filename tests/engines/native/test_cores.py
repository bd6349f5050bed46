"""The CPU engine counts the cores of a container as the Python side does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.engines.native.conftest import HERE, SOURCE, run, want
from tests.test_threads import SHARES, written


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    want("c++")
    out = tmp_path_factory.mktemp("cores") / "cores"
    sources = [str(HERE / "cores.cpp"), str(SOURCE / "src" / "cores.cpp")]
    run(["c++", "-std=c++17", f"-I{SOURCE / 'src'}", *sources, "-o", str(out)])
    return out


@pytest.mark.parametrize(("files", "wanted"), SHARES)
def test_a_quota_bounds_the_threads(program: Path, files: dict[str, str], wanted: int, tmp_path: Path) -> None:
    found = subprocess.run([program, written(tmp_path, files)], capture_output=True, text=True, check=True)
    assert int(found.stdout) == wanted
