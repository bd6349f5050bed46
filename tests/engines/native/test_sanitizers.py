"""The CPU engine, built with sanitizers, on spoiled files, several sizes, threads and instruction sets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cgnet_deploy.export.api import export

pytestmark = pytest.mark.timeout(1200)  # two builds, which a busy machine of two cores takes minutes for

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "engines" / "native"
SPOIL = HERE / "abuse.cpp"
SCENES = HERE.parents[2] / "cgnet_deploy" / "weights" / "scenes.pth"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The shipped network, whose gates are live, in f32 and in int8."""
    folder = tmp_path_factory.mktemp("sanitizers")
    export(SCENES, folder / "f32.onnx", target="native", res="64x96", dynamic="both")
    export(
        SCENES,
        folder / "int8.onnx",
        target="native",
        res="64x96",
        precision="int8",
        calib_data="scenes",
        calib_images=8,
        min_speedup=0,
    )
    return folder / "f32.onnx", folder / "int8.onnx"


@pytest.mark.parametrize(("sanitizer", "cases"), [("address,undefined", 100), ("thread", 0)])
def test_the_engine_is_clean(sanitizer: str, cases: int, files: tuple[Path, ...], tmp_path: Path) -> None:
    if not all(map(shutil.which, ("cmake", "c++", "ninja"))):
        if os.environ.get("CI"):
            pytest.fail("CI needs cmake, c++ and ninja")
        pytest.skip("cmake, c++ or ninja is not installed")
    flags = ["-O1", "-g1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    options = [
        "CMAKE_BUILD_TYPE=Debug",
        "BUILD_SHARED_LIBS=OFF",
        "CGNET_WERROR=ON",
        f"CMAKE_CXX_FLAGS={' '.join(flags)}",
    ]
    program, library, include = tmp_path / "abuse", tmp_path / "libcgnet_native.a", SOURCE / "include"
    for command in (
        ["cmake", "-S", str(SOURCE), "-B", str(tmp_path), "-G", "Ninja", *(f"-D{option}" for option in options)],
        ["cmake", "--build", str(tmp_path)],
        ["c++", "-std=c++17", *flags, f"-I{include}", str(SPOIL), str(library), "-lpthread", "-o", str(program)],
    ):
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    for file in files:
        run = subprocess.run([str(program), str(file), str(cases)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr[-4000:]
        refused = int(re.findall(r"(\d+) refused", run.stdout)[0])
        assert refused > cases / 4 or not cases
