"""Every kernel compiles for the GPUs that the project aims at, ahead of time, on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cgnet_deploy.engines.fast.compile import MAX_REGISTERS

SHARED_KIB = {80: 163, 90: 227}  # that one program may take: CUDA's programming guide, compute capabilities


@pytest.mark.parametrize(("architecture", "precision"), [(80, "f16"), (90, "f16"), (90, "f32")])
def test_every_kernel_compiles_ahead_of_time_and_fits(architecture: int, precision: str) -> None:
    """In a process of its own: this one's Triton interprets."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "cgnet_deploy.engines.fast.compile", "--arch", str(architecture)]
    run = subprocess.run(
        [*command, "--precision", precision], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    header, *rows = run.stdout.splitlines()
    assert header.split()[0] == "kernel"
    kernels = set()
    for row in rows:
        *name, _, _, threads, registers, spilled, shared = row.split()
        kernels.add(name[0])
        assert int(registers) <= MAX_REGISTERS
        assert int(registers) * int(threads) <= 1 << 16, f"{row}: not one program fits"
        assert float(shared) <= SHARED_KIB[architecture], f"{row}: not one program fits"
        assert int(spilled) == 0 or precision == "f32", f"{row}: spills"
    assert kernels == {"first", "conv", "entry", "joint", "gate", "reduce", "mix", "join", "head", "labels"}
