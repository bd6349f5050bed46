from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from cgnet_deploy.engines.gpu import Gpu, find_gpu
from cgnet_deploy.errors import EngineUnavailable


def driver(*, status: int = 0, devices: int = 1) -> SimpleNamespace:
    """A libcuda of one H100, or of none."""

    def put(pointer: object, value: int) -> int:
        pointer._obj.value = value  # type: ignore[attr-defined]  # what byref() points at
        return 0

    def name(buffer: ctypes.Array[ctypes.c_char], size: int, device: ctypes.c_int) -> int:
        buffer.value = b"NVIDIA H100 80GB HBM3"
        return 0

    def place(buffer: ctypes.Array[ctypes.c_char], size: int, device: ctypes.c_int) -> int:
        buffer.value = b"0000:3B:00.0"
        return 0

    return SimpleNamespace(
        cuInit=lambda flags: status,
        cuDeviceGetCount=lambda count: put(count, devices),
        cuDeviceGet=lambda device, ordinal: put(device, ordinal),
        cuDeviceGetName=name,
        cuDeviceGetPCIBusId=place,
        cuDeviceGetAttribute=lambda value, attribute, device: put(value, {75: 9, 76: 0}[attribute]),
    )


def test_a_gpu_has_a_name_an_architecture_and_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver())
    assert find_gpu() == Gpu("NVIDIA H100 80GB HBM3", "sm_90", "0000:3B:00.0")


@pytest.mark.parametrize(
    ("library", "reason"),
    [(driver(status=100), r"doesn't start \(CUDA error 100\)"), (driver(devices=0), "shows none")],
)
def test_what_is_missing_is_named(library: SimpleNamespace, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    with pytest.raises(EngineUnavailable, match=reason):
        find_gpu()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EngineUnavailable, match=r"libcuda\.so\.1\) is not installed"):
        find_gpu()
