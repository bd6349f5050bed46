"""Where a benchmark ran: what a reader needs to judge its numbers, or to repeat them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from cgnet_deploy.terminal import cores

PACKAGES = (
    "cgnet-deploy", "numpy", "opencv-python", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino",
    "tensorrt", "tensorrt_rtx", "pycuda", "cuda-python",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Environment:
    """date: UTC, ISO 8601. cores: that this process may use. threads: that each engine computes with."""

    date: str
    command: tuple[str, ...]
    cpu: str
    cores: int
    threads: int
    os: str
    python: str
    packages: dict[str, str]


def describe(threads: int, command: tuple[str, ...]) -> Environment:
    return Environment(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command,
        cpu=cpu_name(),
        cores=cores(),
        threads=threads,
        os=platform.platform(),
        python=platform.python_version(),
        packages=dict(filter(all, ((name, version(name)) for name in PACKAGES))),
    )


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, "") or platform.processor() or platform.machine()


def version(package: str) -> str:
    """Empty if it isn't installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
