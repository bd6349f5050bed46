"""Which CPUs saturate, by the flags that Linux gives, and that every session of ONNX Runtime is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.cpu import cpu_flags, int8_saturates
from cgnet_deploy.doctor.machine import MachineReport
from cgnet_deploy.engines import ort
from cgnet_deploy.errors import require


@pytest.mark.parametrize(
    ("machine", "line", "saturates"),
    [
        ("x86_64", "flags\t\t: fpu sse4_1 avx2 fma", True),  # Haswell, Zen 2
        ("x86_64", "flags\t\t: avx2 avx512f avx512bw", True),  # Skylake-X
        ("x86_64", "flags\t\t: avx2 avx512f avx512bw avx512_vnni", False),  # Cascade Lake, Zen 4
        ("x86_64", "flags\t\t: avx2 avx_vnni", False),  # Alder Lake
        ("x86_64", "flags\t\t: sse2", True),
        ("x86_64", "", True),
        ("aarch64", "Features\t: fp asimd asimddp i8mm", False),
        ("aarch64", "Features\t: fp asimd", False),
    ],
)
def test_who_saturates(machine: str, line: str, saturates: bool, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert int8_saturates(tmp_path, machine) is saturates


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path) == set()


@pytest.mark.parametrize("saturates", [False, True])
def test_every_session_is_told(saturates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "int8_saturates", lambda: saturates)
    entry = ort.session_options(require("onnxruntime", extra="ort")).get_session_config_entry(
        "session.x64quantprecision"
    )
    assert entry == str(int(saturates))


@pytest.mark.parametrize("saturates", [False, True])
def test_the_doctor_says_it(saturates: bool) -> None:
    report = MachineReport("a CPU", {}, (), saturates)
    assert ("saturate" in report.text()) is saturates
    assert report.to_json()["int8_saturates"] is saturates
