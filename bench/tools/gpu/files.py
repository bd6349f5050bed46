"""The ONNX files and plans of the matrix, made once and kept: f32, f16 and int8 for each size and batch.

ONNX files are exported beside each other, each verified as cgnet-export does. Plans follow: TensorRT times kernels on
the GPU while it builds, so its plans are built one after another; TensorRT for RTX does not, so its are built at once.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.artifact import sidecar_path
from cgnet_deploy.bench.tools.gpu.contenders import Cell
from cgnet_deploy.bench.tools.gpu.rows import Result, State
from cgnet_deploy.child import program
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.errors import EngineUnavailable, UserError, last_line
from cgnet_deploy.spec import Precision
from cgnet_deploy.terminal import guarded
from cgnet_deploy.threads import cores

EXPORT_THREADS = 4
CANT_RUN = (UserError.exit_code, EngineUnavailable.exit_code)  # a package or a builder that this machine lacks
CALIBRATION_FRAMES = 16  # drawn ones: the matrix compares speed; accuracy is measured elsewhere
FLAGS = {
    Precision.F32: ("--fp32",),
    Precision.F16: ("--fp16",),
    Precision.INT8: ("--int8", "--calib-data", "scenes", "--calib-images", str(CALIBRATION_FRAMES)),
}

EXPORT = program("cgnet_deploy.export.cli")
BUILD = program("cgnet_deploy.bench.tools.gpu.files", "build")


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to make: its name is the row's subject. after: a file that must be there first."""

    path: Path
    command: tuple[str, ...]
    after: Path | None = None


def make(cells: Sequence[Cell], ckpt: Path, folder: Path, until: float) -> list[Result]:
    """Make what is missing in `folder`. until: by CLOCK, in seconds. One row a file, in the order of `cells`."""
    folder.mkdir(parents=True, exist_ok=True)
    exports, plans = [], []
    for cell in cells:
        for precision, flags in FLAGS.items():
            onnx, plan = (folder / f"{precision.value}_{cell}.{kind}" for kind in ("onnx", "plan"))
            size = ("--res", str(cell.res), "--batch", str(cell.batch))
            export = (*EXPORT, "--ckpt", str(ckpt), *flags, *size, "--no-engine", "--onnx", str(onnx))
            exports.append(FileTask(onnx, export))
            plans.append(FileTask(plan, (*BUILD, str(onnx), str(plan)), after=onnx))
    workers = max(cores() // EXPORT_THREADS, 1)
    alone = importlib.util.find_spec("tensorrt") is not None
    return all_of(exports, workers, until) + all_of(plans, 1 if alone else workers, until)


def all_of(tasks: Sequence[FileTask], workers: int, until: float) -> list[Result]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda task: done(task, until), tasks))


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
