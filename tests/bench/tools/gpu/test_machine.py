"""The whole command on a machine that has a GPU by its driver's word alone: without a network, av and playwright."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cgnet_deploy.bench.tools.gpu.contenders import HEADLINE
from cgnet_deploy.bench.tools.gpu.suite import ROOT

COMPILER = shutil.which("cc") or shutil.which("gcc")

# A driver that knows one GPU of compute capability 9.0, and nothing else.
DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "A Card 9000", size); return 0; }
int cuDeviceGetPCIBusId(char *place, int size, int device) { strncpy(place, "0000:3B:00.0", size); return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 9 : 0; return 0; }
"""
# Each process of the machine reads it when it starts.
MACHINE = """
import socket, sys
sys.modules.update(av=None, playwright=None)
def connect(*_): raise OSError("there is no network")
socket.socket.connect = connect
"""
TENSORRT = "__version__ = '10.13.3.9'\n"  # installed, and of no use without its libraries


# A plugin of pytest that says what it would run, in which order, and whether that needs the reference material.
LISTED = """
import json, os, pathlib
def pytest_collection_finish(session):
    listed = [(item.nodeid, "shared" in item.fixturenames) for item in session.items]
    pathlib.Path(os.environ["LISTED"]).write_text(json.dumps(listed))
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a process on it."""
    if COMPILER is None:
        pytest.skip("a driver is compiled")
    (tmp_path / "driver.c").write_text(DRIVER)
    (tmp_path / "sitecustomize.py").write_text(MACHINE)
    (tmp_path / "listed.py").write_text(LISTED)
    library = tmp_path / "libcuda.so.1"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("tensorrt", [False, True], ids=["rtx alone", "tensorrt"])
def test_every_part_ends_in_time_with_a_row_and_the_headline_first(
    machine: dict[str, str], tmp_path: Path, tensorrt: bool
) -> None:
    if tensorrt:
        (tmp_path / "tensorrt.py").write_text(TENSORRT)
    names = ["environment", "copy", str(HEADLINE), "profile", "training"]
    limit_s = 12
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "cgnet_deploy.bench.tools.gpu", "--limit", str(limit_s)),
            *("--out", tmp_path / "out", "--files", tmp_path / "files"),
            *(word for name in names for word in ("--part", name)),
        ],
        cwd=ROOT,
        env=machine,
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * limit_s,  # a part whose limit doesn't hold would go on for minutes
    )
    assert ended.returncode in (0, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    rows = [line.split()[0] for line in ended.stdout.splitlines()[2:]]
    assert list(dict.fromkeys(rows)) == names  # each has a row, in this order
    record = json.loads((tmp_path / "out" / f"gpu_a-card-9000_{HEADLINE}.json").read_text())
    (plan,) = {row["outcome"] for row in record["rows"] if row["subject"] == "TensorRT, f16, device"}
    assert "pycuda" in plan
    assert ("tensorrt_rtx runs on sm_75" in plan) != tensorrt


def test_its_tests_are_found_without_what_others_need_and_what_compiles_comes_last(
    machine: dict[str, str], tmp_path: Path
) -> None:
    """Nor do they need the reference material, which no such machine has."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-m", "gpu", "--collect-only", "-q"),
            *("-p", "no:cacheprovider"),
            *("-p", "listed"),
        ],
        cwd=ROOT,
        env=machine | {"LISTED": str(tmp_path / "listed.json")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
    listed = json.loads((tmp_path / "listed.json").read_text())
    names = [name for name, _ in listed]
    assert [name for name in names if "compiled" in name] == names[-1:]
    assert {name.partition("::")[2].partition("::")[0] for name in names} >= {"TestFast", "TestEveryBackend"}
    assert not [name for name, shared in listed if shared]
