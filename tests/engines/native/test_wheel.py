"""The CPU engine's wheel: what it asks of a system, which kernels it has, and that it labels where nothing else is."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.tools.wheels import GLIBC, build
from tests.engines.graphs import drawn_frames
from tests.engines.native.conftest import want
from tests.engines.test_nativecpu import opened

pytestmark = pytest.mark.timeout(1800)  # compiles zig's C++ library, too, the first time
NEEDS = ("auditwheel", "build", "elftools", "ziglang")

# With nothing but the standard library: FILE HEIGHT WIDTH, a frame comes in, instructions and labels go out.
PROGRAM = """
import ctypes, json, pathlib, sys, cgnet_native
file, height, width = pathlib.Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), int(sys.argv[3])
(path,) = pathlib.Path(cgnet_native.__path__[0]).glob("libcgnet_native.so")
library = ctypes.CDLL(str(path))
library.cgnet_native_instructions.restype = ctypes.c_char_p
frame, labels = sys.stdin.buffer.read(), ctypes.create_string_buffer(height * width)
done = {}
for wanted in (b"", b"generic"):
    network = ctypes.c_void_p()
    assert library.cgnet_native_load(file, ctypes.c_size_t(len(file)), 2, wanted, b"f32", ctypes.byref(network)) == 0
    assert library.cgnet_native_run(network, frame, 1, height, width, labels) == 0
    done[library.cgnet_native_instructions(network).decode()] = labels.raw.hex()
    library.cgnet_native_close(network)
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    want("cmake", "ninja")
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the wheels are for Linux")
    if lack := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not installed: {', '.join(lack)}")
    return build(tmp_path_factory.mktemp("wheel"), platform.machine())


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, symlinks=True)
    found = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(found), *install], check=True)
    return found


def test_it_needs_no_newer_symbol_than_its_name_promises(wheel: Path, python: Path) -> None:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection
    from elftools.elf.sections import SymbolTableSection

    (library,) = python.parents[1].glob("lib/*/site-packages/cgnet_native/libcgnet_native.so")
    with library.open("rb") as stream:
        file = ELFFile(stream)
        (needs,) = (part for part in file.iter_sections() if isinstance(part, GNUVerNeedSection))
        asked = {one.name for _, versions in needs.iter_versions() for one in versions}
        (table,) = (part for part in file.iter_sections("SHT_DYNSYM") if isinstance(part, SymbolTableSection))
        exported = {one.name for one in table.iter_symbols() if one["st_shndx"] != "SHN_UNDEF"}
    assert f"manylinux_{GLIBC.replace('.', '_')}_" in wheel.name
    assert asked
    assert all(name.startswith("GLIBC_") for name in asked)  # and none of a C++ library
    newest = tuple(int(part) for part in GLIBC.split("."))
    assert max(tuple(int(part) for part in name.removeprefix("GLIBC_").split(".")) for name in asked) <= newest
    assert "cgnet_native_run" in exported
    assert all(name.startswith("cgnet_native_") for name in exported)
    assert wheel.stat().st_size < 1.5e6
    kernels = ("avx2", "avx_vnni", "avx512", "amx") if platform.machine() == "x86_64" else ("dotprod", "i8mm")
    assert all(b"\0" + name.encode() + b"\0" in library.read_bytes() for name in kernels)


def test_it_carries_the_projects_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith("/LICENSE"))
        assert content.read(name) == (Path(__file__).parents[3] / "LICENSE").read_bytes()


def test_it_labels_with_this_cpus_instructions_and_with_none(
    python: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    (frame,) = drawn_frames(1, 61, 83)
    command = [str(python), "-I", "-c", PROGRAM, str(files[0]), "61", "83"]
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: np.frombuffer(bytes.fromhex(text), np.uint8) for name, text in json.loads(done.stdout).items()}
    with opened(files[0]) as here:
        wanted = here.infer(frame[None])[0].ravel()
        best = here.info.provider.split()[-1]  # as compiled by the compiler of this system
    assert list(found) == [best, "generic"]
    assert len(np.unique(wanted)) > 2
    assert all((labels == wanted).mean() > 0.999 for labels in found.values())
