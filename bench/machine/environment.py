"""Where a benchmark ran: what a reader needs to judge its numbers, or to repeat them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from cgnet_deploy.bench.machine.nvml import GpuDescription
from cgnet_deploy.bench.machine.readings import here, text
from cgnet_deploy.cpu import FLAGS, cpu_flags, cpuinfo
from cgnet_deploy.engines import backends
from cgnet_deploy.threads import cores

PACKAGES = ("cgnet-deploy", "numpy", *backends.PACKAGES)

ENERGY = {"cpu": "measured by RAPL", "gpu": "measured by NVML", "board": "measured by INA3221"}


@dataclass(frozen=True, slots=True)
class Environment:
    """date: UTC, ISO 8601. cores: that this process may use. threads: that each engine computes with.

    cpu_flags: of the CPU's features, those that a network's speed depends on. governor: the policy that sets the
    clock, empty if unknown. load: how many processes wanted a core in the minute before. energy: how that of the CPU,
    the GPU and the board is measured, or why it isn't.
    """

    date: str
    command: tuple[str, ...]
    cpu: str
    cores: int
    threads: int
    os: str
    python: str
    packages: dict[str, str]
    cpu_flags: tuple[str, ...] = ()
    governor: str = ""
    ram_mib: int = 0
    load: float = 0.0
    gpu: GpuDescription | None = None
    energy: dict[str, str] = field(default_factory=dict)


def describe(threads: int, command: tuple[str, ...]) -> Environment:
    machine = here()
    unmeasured = machine.unmeasured
    return Environment(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        cpu=cpu_name(),
        cores=cores(),
        threads=threads,
        os=platform.platform(),
        python=platform.python_version(),
        packages=dict(filter(all, ((name, version(name)) for name in PACKAGES))),
        cpu_flags=tuple(flag for flag in FLAGS if flag in cpu_flags()),
        governor=text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        ram_mib=psutil.virtual_memory().total >> 20,
        load=round(os.getloadavg()[0], 2),
        gpu=machine.gpu(),
        energy={
            part: f"not measured: {unmeasured[part]}" if part in unmeasured else how for part, how in ENERGY.items()
        },
    )


def cpu_name() -> str:
    names = (value for name, value in cpuinfo(Path("/")) if name in ("model name", "Model"))
    return next(names, "") or platform.processor() or platform.machine()


def version(package: str) -> str:
    """Empty if it isn't installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
