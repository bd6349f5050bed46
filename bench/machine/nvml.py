"""What the NVIDIA driver reports of the GPU: clocks, temperature, throttling, energy and memory in use.

By nvidia-ml-py, the driver's own Python binding. A quantity that a GPU doesn't report (the energy of one before Volta,
say) is None. Not yet run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.errors import EngineUnavailable, MissingPackage, one_line, require

REASONS = {  # bits of nvml.h
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}  # the other bits (idle, application clocks, display) slow nothing down that was asked for


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One moment. joules: since the driver was loaded. used_mib: of all programs. throttled: why, if it is."""

    sm_mhz: float | None = None
    memory_mhz: float | None = None
    celsius: float | None = None
    throttled: tuple[str, ...] | None = None
    joules: float | None = None
    used_mib: float | None = None


NO_GPU = GpuReading()


@dataclass(frozen=True, slots=True)
class GpuDescription:
    """programs: how many others compute on it."""

    name: str
    architecture: str
    driver: str
    power_limit_w: float | None
    programs: int | None


class Nvml:
    """The GPU that engines run on. Raises EngineUnavailable, saying why, where there is none to ask."""

    def __init__(self, pynvml: Any = None) -> None:
        """pynvml: stands in for the package in tests."""
        self._gpu = find_gpu()
        try:
            self._nvml = pynvml or require("pynvml", extra="gpu")
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByPciBusId(self._gpu.bus_id)
        except MissingPackage as error:
            raise EngineUnavailable(str(error)) from error
        except self._nvml.NVMLError as error:
            raise EngineUnavailable(f"NVML can't reach the GPU at {self._gpu.bus_id}: {one_line(error)}") from error

    def read(self) -> GpuReading:
        nvml = self._nvml
        joules = self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption)  # in mJ
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        reasons = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        return GpuReading(
            sm_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            memory_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            celsius=self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            throttled=None if reasons is None else tuple(why for bit, why in REASONS.items() if reasons & bit),
            joules=None if joules is None else joules / 1e3,
            used_mib=None if memory is None else memory.used / 2**20,
        )

    def describe(self) -> GpuDescription:
        limit = self._ask(self._nvml.nvmlDeviceGetEnforcedPowerLimit)  # in mW
        programs = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses)
        return GpuDescription(
            name=self._gpu.name,
            architecture=self._gpu.architecture,
            driver=str(self._nvml.nvmlSystemGetDriverVersion()),
            power_limit_w=None if limit is None else limit / 1e3,
            programs=None if programs is None else len(programs),
        )

    def _ask(self, function: Callable[..., Any], *arguments: int) -> Any:
        """What the driver answers; None if the GPU, or an old driver, doesn't report it."""
        try:
            return function(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None
