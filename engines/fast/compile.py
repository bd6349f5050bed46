"""Compile every kernel ahead of time, for a GPU that need not be here, and show what each takes of it.

    python -m cgnet_deploy.engines.fast.compile --arch 80 --arch 90 --res 1024x2048

A kernel is compiled as Triton would at its first launch on such a network: the same tiles, the same constants, the
same knowledge of which arguments are multiples of 16.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.fast.fold import fold, stored
from cgnet_deploy.engines.fast.launch import Launch
from cgnet_deploy.engines.fast.network import FastNetwork
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Precision, Res

DTYPES = {Precision.F16: torch.float16, Precision.F32: torch.float32}
POINTERS = {torch.float16: "*fp16", torch.float32: "*fp32", torch.uint8: "*u8"}
MAX_REGISTERS = 255  # of a thread; beyond, values spill into memory


@dataclass(frozen=True, slots=True)
class Compiled:
    """registers: of each of `threads` threads. local_bytes: what each spills. shared_bytes: of one program."""

    kernel: str
    precision: Precision
    architecture: int
    threads: int
    registers: int
    local_bytes: int
    shared_bytes: int


def network_of(res: Res, precision: Precision, *, classes: int = 19, batch: int = 1) -> FastNetwork:
    """A CGNet of usual depth whose buffers have shapes and no memory: enough to compile and to count."""
    model = CGNet(classes)
    dtype, nowhere = DTYPES[precision], torch.device("meta")
    spec = model_spec("cityscapes-official", classes, model.blocks).input
    return FastNetwork(stored(fold(model, spec), dtype, nowhere), (batch, *res), dtype, nowhere)


def compile_all(network: FastNetwork, precision: Precision, architecture: int) -> list[Compiled]:
    """Each kernel of `network`, once for each set of constants, for compute capability `architecture` / 10.

    Raises what Triton does for a kernel that doesn't compile.
    """
    distinct = {_key(launch): launch for launch in network.launches}
    return [_compiled(launch, precision, architecture) for launch in distinct.values()]


def _arguments(launch: Launch) -> tuple[dict[str, str], dict[str, Any], dict[tuple[int, ...], Any]]:
    """What ASTSource takes: types, constants, and which arguments are multiples of 16."""
    types: dict[str, str] = {}
    constants: dict[str, Any] = dict(launch.constants)
    multiples: dict[tuple[int, ...], Any] = {}
    for index, name in enumerate(launch.kernel.arg_names):
        value = launch.arguments.get(name)
        if value is None or (isinstance(value, int) and value == 1):  # Triton takes a 1 as a constant
            types[name] = "constexpr"
            constants.setdefault(name, 1)
        elif isinstance(value, Tensor):
            types[name] = POINTERS[value.dtype]
            multiples[(index,)] = [["tt.divisibility", 16]]  # torch aligns what it allocates
        elif isinstance(value, int):
            types[name] = "i32"
            if value % 16 == 0:
                multiples[(index,)] = [["tt.divisibility", 16]]
        else:
            types[name] = "fp32"
    return types, constants, multiples


def _key(launch: Launch) -> str:
    return repr((launch.name, _arguments(launch), launch.tile.warps, launch.tile.stages))


def _compiled(launch: Launch, precision: Precision, architecture: int) -> Compiled:
    types, constants, multiples = _arguments(launch)
    source = ASTSource(launch.kernel, signature=types, constexprs=constants, attrs=multiples)
    kernel = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=launch.options())
    registers, local = _resources(kernel.asm["cubin"])
    return Compiled(
        launch.name, precision, architecture, launch.tile.warps * 32, registers, local, kernel.metadata.shared
    )


def _resources(cubin: bytes) -> tuple[int, int]:
    """(registers, bytes of local memory) of a thread, as NVIDIA's own tool reads them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        tool = triton.knobs.nvidia.cuobjdump.path
        run = subprocess.run([tool, "--dump-resource-usage", path], capture_output=True, text=True, check=True)
    used = {name: int(number) for name, number in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", run.stdout)}
    return used["REG"], used["STACK"] + used["LOCAL"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compile the fast path's kernels and show what each takes of a GPU.")
    parser.add_argument("--arch", type=int, action="append", help="compute capability times 10: 80 is A100, 90 H100")
    parser.add_argument(
        "--precision", type=Precision, choices=list(DTYPES), action="append", help="f16 or f32 (default: both)"
    )
    parser.add_argument("--res", type=Res.parse, default=Res(1024, 2048), help="height x width in pixels (1024x2048)")
    args = parser.parse_args(argv)
    print(f"{'kernel':<12}{'precision':>10}{'sm':>5}{'threads':>9}{'registers':>11}{'spilled B':>11}{'shared KiB':>12}")
    for architecture in args.arch or (80, 90):
        for precision in args.precision or DTYPES:
            for row in compile_all(network_of(args.res, precision), precision, architecture):
                print(
                    f"{row.kernel:<12}{row.precision.value:>10}{row.architecture:>5}{row.threads:>9}{row.registers:>11}"
                    f"{row.local_bytes:>11}{row.shared_bytes / 1024:>12.1f}"
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
