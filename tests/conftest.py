"""Fixtures that every test may use, and what `make quick` leaves out."""

from __future__ import annotations

import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores; read when NumPy and torch are imported
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import pytest

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.errors import EngineUnavailable

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"

# What compiles, trains, exports full networks, starts a browser or a cluster, or runs the documentation: `make quick`
# leaves it out.
SLOW = (
    "bench/report/page/test_browser.py",
    "bench/report/page/test_cli.py",
    "bench/test_api.py",
    "bench/test_cli.py",
    "bench/test_foreign.py",
    "bench/test_refusals.py",
    "bench/tools",
    "doctor/test_cli.py",
    "engines/cpp",
    "engines/fast",
    "engines/native",
    "engines/test_contract.py",
    "engines/test_nativecpu.py",
    "engines/test_stubs.py",
    "export/test_api.py",
    "export/test_cli.py",
    "export/test_distill.py",
    "export/test_guard.py",
    "export/test_int8.py",
    "export/test_pipeline.py",
    "export/test_plans.py",
    "export/test_prune.py",
    "export/test_raw_results.py",
    "export/test_released.py",
    "export/test_rules.py",
    "export/test_speed.py",
    "export/web/test_page.py",
    "label/test_label.py",
    "test_api.py",
    "test_docs.py",
    "test_embedding.py",
    "train",
    "video/test_shared.py",
)
# Folders whose session fixtures are too dear to be made by each worker, and what making them may take.
TOGETHER = ("engines/cpp",)
BUILD_S = 600

try:  # where there are GPUs, Hypothesis may be missing
    from hypothesis import settings
except ImportError:
    pass
else:  # no test asserts a time, and a busy machine takes long
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")

# Where there is no GPU, Triton's kernels are interpreted. It reads this once, when it is first imported.
try:
    find_gpu()
except EngineUnavailable:
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test shows may hold names that are not UTF-8, which pytest-xdist can't pass on."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What engines keep for the next start goes to a folder of the test run's, from the programs that it starts too."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's reference material (real weights, real frames), which a user's checkout lacks."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{SHARED} is missing: CI must run the tests that need it")
        pytest.skip("the reference material ../shared is not here")
    return SHARED


@cache
def with_gpu_tests() -> frozenset[Path]:
    """Files in which a test is marked `gpu`, and the folders that they are in."""
    files = [file for file in HERE.rglob("test_*.py") if "pytest.mark.gpu" in file.read_text(encoding="utf-8")]
    return frozenset(path for file in files for path in (file, *file.parents))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m gpu`, leave alone what has no such test: its packages may not be on a machine that has a GPU."""
    return True if config.getoption("markexpr") == "gpu" and collection_path not in with_gpu_tests() else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    from tests.scheduling import ByFile  # where there are GPUs, pytest-xdist may be missing

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and start with it."""
    for item in items:
        for marker in markers_of(item.path):
            item.add_marker(marker)
    # what compiles for minutes comes last: a run that is cut short loses nothing else
    items.sort(key=lambda item: 2 if item.get_closest_marker("compiles") else item.get_closest_marker("slow") is None)


@cache
def markers_of(file: Path) -> tuple[pytest.MarkDecorator, ...]:
    path = file.relative_to(HERE)
    marks = [(SLOW, pytest.mark.slow), (TOGETHER, pytest.mark.timeout(BUILD_S))]
    return tuple(mark for places, mark in marks if within(path, places))


def within(path: Path, places: tuple[str, ...]) -> str | None:
    """The file or folder of `places` that `path` is, or lies in."""
    return next((place for place in places if path.is_relative_to(place)), None)
