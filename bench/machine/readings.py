"""Clocks, throttling and energy while engines are timed. None for what the machine doesn't report.

    clock     the mean over the cores that may be used: cpufreq's, else that of /proc/cpuinfo
    throttled thermal_throttle (Intel), and the periods in which a cgroup's CPU quota held this process back
    energy    CPU packages: RAPL, in /sys/class/powercap. GPU: NVML. A Jetson board: its INA3221's power

Counters of energy wrap; they are read often enough, while engines are timed, that none does so twice unseen.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cgnet_deploy.bench.machine.nvml import NO_GPU, GpuDescription, GpuReading, Nvml
from cgnet_deploy.cpu import cpuinfo
from cgnet_deploy.errors import EngineUnavailable

BOARD_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0")  # what a Jetson calls the supply of its board
QUOTAS = ("sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat")  # cgroup 2, cgroup 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment. cpu_throttles, quota_throttles: how often so far. cpu_joules: since the first reading.

    board_w: the power that the board draws at that moment.
    """

    cpu_mhz: float | None = None
    cpu_throttles: int | None = None
    quota_throttles: int | None = None
    cpu_joules: float | None = None
    board_w: float | None = None
    gpu: GpuReading = NO_GPU


@dataclass(slots=True)
class Counter:
    """A counter of microjoules that starts again from 0 after `range_uj`."""

    path: Path
    range_uj: int
    last_uj: int
    total_uj: int = 0

    def joules(self) -> float | None:
        now_uj = number_in(self.path)
        if now_uj is None:
            return None
        self.total_uj += (now_uj - self.last_uj) % (self.range_uj + 1)
        self.last_uj = now_uj
        return self.total_uj / 1e6


@dataclass(slots=True)
class Machine:
    """This machine. root: where its file systems are; tests have their own. nvml: None where there is no GPU.

    unmeasured: of what the energy is unknown, and why.
    """

    root: Path = Path("/")
    nvml: Nvml | None = None
    unmeasured: dict[str, str] = field(default_factory=dict)
    _packages: list[Counter] = field(default_factory=list)
    _rail: Path | None = None

    def __post_init__(self) -> None:
        powercap = self.root / "sys/class/powercap"
        for zone in sorted(powercap.glob("*-rapl:*")):
            if text(zone / "name").startswith("package"):  # its parts (core, dram) are other zones
                now, most = number_in(zone / "energy_uj"), number_in(zone / "max_energy_range_uj")
                if now is None or most is None:
                    self.unmeasured["cpu"] = f"{zone / 'energy_uj'} can't be read: only root may, on most systems"
                    self._packages.clear()
                    break
                self._packages.append(Counter(zone / "energy_uj", most, now))
        if not self._packages:
            self.unmeasured.setdefault("cpu", f"{powercap} has no RAPL package: a virtual machine or another CPU")
        rails = (label for label in (self.root / "sys/class/hwmon").glob("hwmon*/in*_label"))
        self._rail = next((label for label in rails if text(label) in BOARD_RAILS), None)
        if self._rail is None:
            self.unmeasured["board"] = "no INA3221 that measures the board: not a Jetson"
        if self.nvml is None:
            self.unmeasured.setdefault("gpu", "no NVIDIA GPU")
        elif self.nvml.read().joules is None:
            self.unmeasured["gpu"] = "this GPU counts no energy"

    def read(self) -> Reading:
        joules = [counter.joules() for counter in self._packages]
        return Reading(
            cpu_mhz=self._cpu_mhz(),
            cpu_throttles=self._cpu_throttles(),
            quota_throttles=self._quota_throttles(),
            cpu_joules=None if not joules or None in joules else sum(filter(None, joules)),
            board_w=self._board_w(),
            gpu=self.nvml.read() if self.nvml else NO_GPU,
        )

    def gpu(self) -> GpuDescription | None:
        return self.nvml.describe() if self.nvml else None

    def _core(self, number: int) -> Path:
        return self.root / f"sys/devices/system/cpu/cpu{number}"

    def _cpu_mhz(self) -> float | None:
        khz = [number_in(self._core(number) / "cpufreq/scaling_cur_freq") for number in usable()]
        if None not in khz:
            return sum(filter(None, khz)) / len(khz) / 1e3
        cores: dict[int, float] = {}
        for name, value in cpuinfo(self.root):
            if name == "processor":
                number = int(value)
            elif name == "cpu MHz":
                cores[number] = float(value)
        mhz = [cores[number] for number in usable() if number in cores]
        return sum(mhz) / len(mhz) if mhz else None

    def _cpu_throttles(self) -> int | None:
        counts = [number_in(self._core(number) / "thermal_throttle/core_throttle_count") for number in usable()]
        return None if None in counts else sum(filter(None, counts))

    def _quota_throttles(self) -> int | None:
        for place in QUOTAS:
            for line in text(self.root / place).splitlines():
                name, _, value = line.partition(" ")
                if name == "nr_throttled" and value.isdecimal():
                    return int(value)
        return None

    def _board_w(self) -> float | None:
        if self._rail is None:
            return None
        number = self._rail.name.removeprefix("in").removesuffix("_label")
        millivolts, milliamperes = (number_in(self._rail.parent / f"{kind}{number}_input") for kind in ("in", "curr"))
        return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6


def here() -> Machine:
    """This machine, with its GPU if there is one that can be asked."""
    try:
        return Machine(nvml=Nvml())
    except EngineUnavailable as error:
        return Machine(unmeasured={"gpu": str(error)})


def usable() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def text(path: Path) -> str:
    """A small file of the kernel's; empty if there is none, or it may not be read."""
    try:
        return path.read_text(errors="replace").strip("\n\0 ")
    except OSError:
        return ""


def number_in(path: Path) -> int | None:
    """The integer that a small file of the kernel's holds; None if there is none."""
    value = text(path)
    return int(value) if value.isdecimal() else None
