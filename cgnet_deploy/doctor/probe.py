"""What one runtime can do here, asked in a process of its own: importing a broken package may kill it.

Run as: python -m cgnet_deploy.doctor.probe NAME. It prints one JSON object: {"can": ..., "found": ..., "todo": ...}.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cgnet_deploy.child import program
from cgnet_deploy.engines import builders
from cgnet_deploy.engines.backends import BACKENDS
from cgnet_deploy.errors import CgnetError, last_line

TIMEOUT_S = 120
READS = {"checkpoint": "checkpoints", "onnx": "ONNX files", "plan": "plans"}


@dataclass(frozen=True, slots=True)
class Finding:
    """part: what a user would want to do. found: versions and devices, or what is missing. todo: empty if `can`."""

    part: str
    can: bool
    found: str
    todo: str = ""


RUNNING = {
    backend.name: (f"run {READS[backend.runtime.reads]}: {backend.title} ({backend.name}:)", backend.probe)
    for backend in BACKENDS
    if not backend.probed_as
}
PROBES: dict[str, tuple[str, Callable[[], str]]] = {
    **RUNNING,
    "tensorrt": ("build plans with TensorRT", partial(builders.probe, "tensorrt")),
    "rtx": ("build plans with TensorRT for RTX", partial(builders.probe, "rtx")),
}


def probe(name: str) -> Finding:
    """The finding of PROBES[name], asked in a new process."""
    part, _ = PROBES[name]
    try:
        asked = subprocess.run(
            [*program("cgnet_deploy.doctor.probe"), name],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        answer = json.loads(asked.stdout.splitlines()[-1])
        return Finding(part, bool(answer["can"]), str(answer["found"]), str(answer["todo"]))
    except subprocess.TimeoutExpired:
        return Finding(part, False, f"hangs: no answer in {TIMEOUT_S} s", "reinstall it")
    except (ValueError, IndexError, KeyError):
        return Finding(part, False, f"crashes (code {asked.returncode}): {last_line(asked.stderr)}", "reinstall it")


def main() -> None:
    _, ask = PROBES[sys.argv[1]]
    try:
        answer = {"can": True, "found": ask(), "todo": ""}
    except CgnetError as error:
        found, _, todo = str(error).partition("install it with: ")
        if "no NVIDIA GPU" in found or "no CUDA device" in found:
            todo = "needs an NVIDIA GPU and its driver"
        answer = {"can": False, "found": found.rstrip("; "), "todo": todo}
    print(json.dumps(answer))
