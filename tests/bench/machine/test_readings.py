"""What a machine reports, with files and a driver made by hand."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from cgnet_deploy.bench.machine import nvml
from cgnet_deploy.bench.machine import readings as module
from cgnet_deploy.bench.machine.nvml import GpuDescription, GpuReading, Nvml
from cgnet_deploy.bench.machine.readings import Machine, Reading
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.errors import EngineUnavailable

CORES = "sys/devices/system/cpu"
RAPL = "sys/class/powercap/intel-rapl"
INA = "sys/class/hwmon/hwmon2"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})


def put(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_machine_without_readings_says_why(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.read() == Reading()
    assert set(machine.unmeasured) == {"cpu", "gpu", "board"}
    assert "has no RAPL package" in machine.unmeasured["cpu"]
    assert machine.gpu() is None


def test_the_clock_is_the_mean_of_the_cores_that_may_be_used(tmp_path: Path) -> None:
    put(tmp_path, {"proc/cpuinfo": "".join(f"processor\t: {n}\ncpu MHz\t\t: {1000 * n}.5\n\n" for n in range(4))})
    assert Machine(tmp_path).read().cpu_mhz == 2000.5  # cores 1 and 3
    for core, khz in ((1, 3_000_000), (3, 3_400_000)):
        put(tmp_path, {f"{CORES}/cpu{core}/cpufreq/scaling_cur_freq": f"{khz}\n"})
    assert Machine(tmp_path).read().cpu_mhz == 3200  # cpufreq is believed first


def test_throttling_is_counted_by_heat_and_by_quota(tmp_path: Path) -> None:
    for core in (1, 2, 3):
        put(tmp_path, {f"{CORES}/cpu{core}/thermal_throttle/core_throttle_count": f"{core}\n"})
    put(tmp_path, {"sys/fs/cgroup/cpu.stat": "usage_usec 7\nnr_periods 40\nnr_throttled 12\n"})
    reading = Machine(tmp_path).read()
    assert (reading.cpu_throttles, reading.quota_throttles) == (4, 12)


def test_the_energy_of_all_packages_is_added_and_survives_a_counter_that_starts_again(tmp_path: Path) -> None:
    for zone, name, now, most in (("0", "package-0", 900, 1000), ("0:0", "core", 5, 9), ("1", "package-1", 10, 1000)):
        folder = f"{RAPL}:{zone}"
        put(tmp_path, {f"{folder}/name": name, f"{folder}/energy_uj": f"{now}\n"})
        put(tmp_path, {f"{folder}/max_energy_range_uj": f"{most}\n"})
    machine = Machine(tmp_path)
    assert "cpu" not in machine.unmeasured
    assert machine.read().cpu_joules == 0
    put(tmp_path, {f"{RAPL}:1/energy_uj": "40\n"})
    assert machine.read().cpu_joules == pytest.approx(30e-6)
    put(tmp_path, {f"{RAPL}:0/energy_uj": "99\n"})  # 900 ... 1000, then 0 ... 99: 200
    assert machine.read().cpu_joules == pytest.approx(230e-6)


def test_energy_that_only_root_may_read_is_said_to_be_that(tmp_path: Path) -> None:
    put(tmp_path, {f"{RAPL}:0/name": "package-0\n"})
    machine = Machine(tmp_path)
    assert "only root may" in machine.unmeasured["cpu"]
    assert machine.read().cpu_joules is None


def test_a_jetson_reports_the_power_of_its_board(tmp_path: Path) -> None:
    put(tmp_path, {f"{INA}/in1_label": "VDD_CPU_GPU_CV\n", f"{INA}/in2_label": "VDD_IN\n"})
    put(tmp_path, {f"{INA}/in2_input": "19000\n", f"{INA}/curr2_input": "500\n"})
    machine = Machine(tmp_path)
    assert machine.read().board_w == 9.5  # 19 V, 0.5 A
    assert "board" not in machine.unmeasured


class Driver:
    """Stands in for pynvml: a GPU that reports `values`, by function and, of a clock, by its number."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self, **values: object) -> None:
        self.values = values

    def __getattr__(self, function: str) -> Any:
        def answer(handle: object, *arguments: int) -> object:
            assert handle == "handle"
            kinds = arguments if function == "nvmlDeviceGetClockInfo" else ()
            key = "_".join([function, *map(str, kinds)])
            if key not in self.values:
                raise self.NVMLError("Not Supported")
            return self.values[key]

        return answer

    def nvmlInit(self) -> None:
        if "init" in self.values:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByPciBusId(self, place: str) -> str:
        assert place == "0000:3B:00.0"
        if "handle" in self.values:
            raise self.NVMLError("Not Found")
        return "handle"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.86.15"


def test_the_functions_that_are_asked_for_exist() -> None:
    source = Path(str(nvml.__file__)).read_text(encoding="utf-8")
    names = set(re.findall(r"nvml\.(nvml\w+|NVML\w+)", source))
    assert len(names) > 8
    assert not [name for name in names if not hasattr(pynvml, name)]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "find_gpu", lambda: Gpu("a card", "sm_90", "0000:3B:00.0"))


@pytest.mark.usefixtures("card")
def test_a_gpu_reports_its_clocks_temperature_energy_and_memory(tmp_path: Path) -> None:
    gpu = Nvml(
        Driver(
            nvmlDeviceGetClockInfo_1=1980,
            nvmlDeviceGetClockInfo_2=2619,
            nvmlDeviceGetTemperature=61,
            nvmlDeviceGetCurrentClocksThrottleReasons=0x1 | 0x4 | 0x40,
            nvmlDeviceGetTotalEnergyConsumption=123_456,
            nvmlDeviceGetMemoryInfo=SimpleNamespace(used=3 << 29),
            nvmlDeviceGetEnforcedPowerLimit=700_000,
            nvmlDeviceGetComputeRunningProcesses=[1, 2],
        )
    )
    reading = GpuReading(1980, 2619, 61, ("power cap", "hardware thermal slowdown"), 123.456, 1536)
    machine = Machine(tmp_path, gpu)
    assert machine.read().gpu == reading
    assert "gpu" not in machine.unmeasured
    assert machine.gpu() == GpuDescription("a card", "sm_90", "570.86.15", 700, 2)


@pytest.mark.usefixtures("card")
def test_what_a_gpu_does_not_report_is_none(tmp_path: Path) -> None:
    machine = Machine(tmp_path, Nvml(Driver()))
    assert machine.read().gpu == GpuReading()
    assert machine.unmeasured["gpu"] == "this GPU counts no energy"


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(("failure", "words"), [("init", "Driver Not Loaded"), ("handle", "Not Found")])
def test_a_driver_that_fails_is_named_in_the_reason(failure: str, words: str) -> None:
    with pytest.raises(EngineUnavailable, match=words):
        Nvml(Driver(**{failure: 9}))


def test_without_a_gpu_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> SimpleNamespace:
        raise EngineUnavailable("no card")

    monkeypatch.setattr(module, "Nvml", missing)
    assert module.here().unmeasured["gpu"] == "no card"
