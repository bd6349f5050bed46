"""Short training runs on made-up data: as the command line in this process, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cgnet_deploy.train.cli import main

TINY = (
    "blocks=2,2",
    "batch=2",
    "augment.crop=32x32",
    "input.res=48x64",
    "log_every=1",
    "save_every=10",
    "validate_every=1000",
)


def arguments(data: Path, out: Path, *more: str, recipe: str = "camvid", settings: tuple[str, ...] = TINY) -> list[str]:
    sets = [part for setting in settings for part in ("--set", setting)]
    return ["--recipe", recipe, "--data", str(data), "--out", str(out), *sets, *more]


def trained(data: Path, out: Path, *more: str, recipe: str = "camvid", settings: tuple[str, ...] = TINY) -> int:
    """The exit code of cgnet-train."""
    return main(arguments(data, out, *more, recipe=recipe, settings=settings))


def started(module: str, args: list[str]) -> subprocess.Popen[str]:
    """A process on one thread, its stderr to be read."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *module.split(), *args]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in log_of(out) if "loss" in line]
