"""What the CPU can do, and whether its products of int8 can saturate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
# x86's names and Arm's, as /proc/cpuinfo spells them.
FLAGS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "fphp", "bf16", "i8mm", "sve", "sve2"),
)
X86 = "x86_64"
EXACT = {"avx_vnni", "avx512_vnni", "amx_int8"}  # add four products of 8 bits in 32


def cpuinfo(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Names and values of /proc/cpuinfo, core after core; none where it can't be read. root: of the file system."""
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def cpu_flags(root: Path = ROOT) -> set[str]:
    """In the kernel's words; empty where it says nothing."""
    return next((set(value.split()) for name, value in cpuinfo(root) if name in ("flags", "Features")), set())


def int8_saturates(root: Path = ROOT, machine: str | None = None) -> bool:
    """Whether two products of u8 and s8 are added in 16 bits, as x86 does without VNNI, where they may not fit."""
    return (machine or os.uname().machine) == X86 and not EXACT & cpu_flags(root)
