"""What the NVIDIA driver tells of the GPU: clocks, temperature, throttling, energy and memory in use.

NVML is asked through ctypes, because its library comes with the driver while every binding of it is a package
more. A quantity that a GPU doesn't tell (the energy of one before Volta, say) is None. Not yet run on a GPU.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.errors import EngineUnavailable

# nvml.h
SM_CLOCK, MEMORY_CLOCK = 1, 2
TEMPERATURE_OF_GPU = 0
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}  # the other bits (idle, application clocks, display) slow nothing down that was asked for
INSUFFICIENT_SIZE = 7
TEXT_BYTES = 96


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


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The GPU that engines run on. Raises EngineUnavailable, saying why, where there is none to ask."""

    def __init__(self, library: Any = None) -> None:
        """library: stands in for the driver's in tests."""
        self._gpu = find_gpu()
        self._library = library or _load()
        if status := self._library.nvmlInit_v2():
            raise EngineUnavailable(f"NVML doesn't start (error {status})")
        self._handle = ctypes.c_void_p()
        place = ctypes.c_char_p(self._gpu.bus_id.encode())
        if status := self._library.nvmlDeviceGetHandleByPciBusId_v2(place, ctypes.byref(self._handle)):
            raise EngineUnavailable(f"NVML doesn't know the GPU at {self._gpu.bus_id} (error {status})")

    def read(self) -> GpuReading:
        joules = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())  # in mJ
        memory = self._ask("nvmlDeviceGetMemoryInfo", _Memory())
        reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong())
        return GpuReading(
            sm_mhz=_value(self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(), SM_CLOCK)),
            memory_mhz=_value(self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(), MEMORY_CLOCK)),
            celsius=_value(self._ask("nvmlDeviceGetTemperature", ctypes.c_uint(), TEMPERATURE_OF_GPU)),
            throttled=None if reasons is None else tuple(why for bit, why in REASONS.items() if reasons.value & bit),
            joules=None if joules is None else joules.value / 1e3,
            used_mib=None if memory is None else memory.used / 2**20,
        )

    def describe(self) -> GpuDescription:
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint())  # in mW
        text = ctypes.create_string_buffer(TEXT_BYTES)
        self._library.nvmlSystemGetDriverVersion(text, TEXT_BYTES)
        return GpuDescription(
            name=self._gpu.name,
            architecture=self._gpu.architecture,
            driver=text.value.decode(errors="replace"),
            power_limit_w=None if limit is None else limit.value / 1e3,
            programs=self._programs(),
        )

    def _programs(self) -> int | None:
        call = getattr(self._library, "nvmlDeviceGetComputeRunningProcesses_v3", None)
        count = ctypes.c_uint(0)
        # With room for none it says how many there are, and that the room is too small, which is no failure here.
        if call is None or call(self._handle, ctypes.byref(count), None) not in (0, INSUFFICIENT_SIZE):
            return None
        return count.value

    def _ask(self, function: str, answer: Any, *arguments: int) -> Any:
        """`answer` filled in, None if the GPU, or an old driver, doesn't tell."""
        call = getattr(self._library, function, None)
        if call is None or call(self._handle, *arguments, ctypes.byref(answer)):
            return None
        return answer


def _load() -> Any:
    try:
        return ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        raise EngineUnavailable("NVML (libnvidia-ml.so.1), which comes with the driver, is not installed") from None


def _value(answer: Any) -> float | None:
    return None if answer is None else float(answer.value)
