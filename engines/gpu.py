"""The GPU that CUDA would use, asked of the driver itself: no package is needed to say that there is none."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from cgnet_deploy.errors import EngineUnavailable

# CUdevice_attribute in cuda.h
COMPUTE_CAPABILITY_MAJOR = 75
COMPUTE_CAPABILITY_MINOR = 76

GPU = 0  # engines run on the first that CUDA shows


@dataclass(frozen=True, slots=True)
class Gpu:
    """architecture: the compute capability as compilers spell it, such as sm_90. bus_id: where it is, to NVML."""

    name: str
    architecture: str
    bus_id: str = ""


def find_gpu() -> Gpu:
    """Device 0, as CUDA_VISIBLE_DEVICES leaves it. Raises EngineUnavailable, saying what is missing."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise EngineUnavailable("no NVIDIA GPU: its driver (libcuda.so.1) is not installed") from None
    if status := driver.cuInit(0):
        raise EngineUnavailable(f"no NVIDIA GPU: the driver doesn't start (CUDA error {status})")
    device, count, major, minor = (ctypes.c_int() for _ in range(4))
    name, place = ctypes.create_string_buffer(128), ctypes.create_string_buffer(32)
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        raise EngineUnavailable("no NVIDIA GPU: the driver shows none (is CUDA_VISIBLE_DEVICES set?)")
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceGetPCIBusId(place, len(place), device)
    driver.cuDeviceGetAttribute(ctypes.byref(major), COMPUTE_CAPABILITY_MAJOR, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), COMPUTE_CAPABILITY_MINOR, device)
    architecture = f"sm_{major.value}{minor.value}"
    return Gpu(name.value.decode(errors="replace"), architecture, place.value.decode(errors="replace"))
