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
from cgnet_deploy.bench.tools.gpu.parts import ROOT

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


@pytest.mark.skipif(COMPILER is None, reason="a driver is compiled")
@pytest.mark.parametrize("tensorrt", [False, True], ids=["rtx alone", "tensorrt"])
def test_every_part_ends_in_time_with_a_row_and_the_headline_first(tmp_path: Path, tensorrt: bool) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    (tmp_path / "sitecustomize.py").write_text(MACHINE)
    library = tmp_path / "libcuda.so.1"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
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
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)},
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
