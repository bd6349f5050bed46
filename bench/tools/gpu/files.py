"""The ONNX files and plans of one size and batch, made once and kept: f16, for which the aims are stated, f32, int8.

ONNX files are exported beside each other, each verified as cgnet-export does, and each is followed by its plan. As
TensorRT times kernels on the GPU while it builds, its plans are built one by one; TensorRT for RTX does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.artifact import sidecar_path
from cgnet_deploy.bench.tools.gpu.contenders import Cell
from cgnet_deploy.bench.tools.gpu.rows import Result, State
from cgnet_deploy.child import program
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.trtapi import is_installed
from cgnet_deploy.errors import EngineUnavailable, UserError, last_line
from cgnet_deploy.spec import Precision
from cgnet_deploy.terminal import guarded
from cgnet_deploy.threads import cores

EXPORT_THREADS = 4
CANT_RUN = (UserError.exit_code, EngineUnavailable.exit_code)  # a package or a builder that this machine lacks
CALIBRATION_FRAMES = 16  # drawn ones: the matrix compares speed; accuracy is measured elsewhere
FLAGS = {
    Precision.F16: ("--fp16",),
    Precision.F32: ("--fp32",),
    # for TensorRT, what is not int8 is f16
    Precision.INT8: (
        *("--int8", "--target", "tensorrt"),
        *("--calib-data", "scenes", "--calib-images", str(CALIBRATION_FRAMES)),
    ),
}

EXPORT = program("cgnet_deploy.export.cli")
BUILD = program("cgnet_deploy.bench.tools.gpu.files", "build")


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to make: its name is the row's subject. after: a file that must be there first."""

    path: Path
    command: tuple[str, ...]
    after: Path | None = None


def make(cell: Cell, ckpt: Path, folder: Path, until: float) -> list[Result]:
    """Make what is missing in `folder`. until: by CLOCK, in seconds. One row a file."""
    folder.mkdir(parents=True, exist_ok=True)
    workers = max(cores() // EXPORT_THREADS, 1)
    alone = is_installed("tensorrt")
    rows: list[Future[Result]] = []
    with ThreadPoolExecutor(workers) as exporting, ThreadPoolExecutor(1 if alone else workers) as building:
        for export, plan in tasks(cell, ckpt, folder):
            exported = exporting.submit(done, export, until)
            rows += [exported, building.submit(done_after, exported, plan, until)]
    return [row.result() for row in rows]


def tasks(cell: Cell, ckpt: Path, folder: Path) -> list[tuple[FileTask, FileTask]]:
    """The export and the plan of each precision."""
    size = ("--res", str(cell.res), "--batch", str(cell.batch))
    pairs = []
    for precision, flags in FLAGS.items():
        onnx, plan = (folder / f"{precision.value}_{cell}.{kind}" for kind in ("onnx", "plan"))
        export = (*EXPORT, "--ckpt", str(ckpt), *flags, *size, "--no-engine", "--onnx", str(onnx))
        pairs.append((FileTask(onnx, export), FileTask(plan, (*BUILD, str(onnx), str(plan)), after=onnx)))
    return pairs


def done_after(exported: Future[Result], plan: FileTask, until: float) -> Result:
    exported.result()
    return done(plan, until)


def done(task: FileTask, until: float) -> Result:
    """Run a task unless its file is there already."""
    name, left_s = task.path.name, until - CLOCK.now_s()
    if task.path.exists() and sidecar_path(task.path).exists():
        return Result(name, "ran", "exists already")
    if task.after is not None and not task.after.exists():
        return Result(name, "not run", f"{task.after.name} is missing")
    if left_s <= 0:
        return Result(name, "not run", "no time was left to make it")
    threads = str(EXPORT_THREADS)
    env = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    try:
        ended = subprocess.run(
            task.command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env, timeout=left_s
        )
    except subprocess.TimeoutExpired:
        return Result(name, "not run", f"stopped after {left_s:.0f} s, at the time limit of making files")
    if ended.returncode:
        state: State = "not run" if ended.returncode in CANT_RUN else "failed"
        return Result(name, state, last_line(ended.stderr))
    if not task.path.exists():
        return Result(name, "failed", f"nothing was written: {last_line(ended.stderr)}")
    return Result(name, "ran", f"{task.path.stat().st_size / 2**20:.1f} MiB")


def build() -> int:
    """In a process of its own: ONNX -> plan, as sys.argv says. Returns the exit code."""
    onnx, plan = sys.argv[1:]
    return guarded("build", lambda: 0 if build_plan(onnx, plan, verify=False) else 1)
