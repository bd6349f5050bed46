"""The CPU engine's files, and programs that are linked with a build of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.cpu import cpu_flags
from cgnet_deploy.export.api import export
from cgnet_deploy.pixels import F32, U8

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "engines" / "native"
SCENES = HERE.parents[2] / "cgnet_deploy" / "weights" / "scenes.pth"


def exported(checkpoint: Path, folder: Path) -> tuple[Path, Path]:
    """Its file in f32 and in int8."""
    export(checkpoint, folder / "f32.onnx", target="native", res="64x96", dynamic="both")
    export(
        checkpoint,
        folder / "int8.onnx",
        target="native",
        res="64x96",
        precision="int8",
        calib_data="scenes",
        calib_images=8,
        min_speedup=0,
    )
    return folder / "f32.onnx", folder / "int8.onnx"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The shipped network, whose gates are live."""
    return exported(SCENES, tmp_path_factory.mktemp("native"))


# What tests build is one unit but for the kernels, as the Python package is: parsing the standard library's headers is
# half of the time that compilers take.
UNITY = ("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0")


def runnable() -> tuple[str, ...]:
    """For CMake: leave out the kernels that this CPU can't run, each ten seconds of compiling with sanitizers."""
    needs = {"avx_vnni": "avx_vnni", "avx512": "avx512_vnni", "avx512_bf16": "avx512_bf16"}
    needs |= {"amx": "amx_int8", "amx_bf16": "amx_bf16"}
    return tuple(f"CGNET_COMPILES_{kernels}=OFF" for kernels, flag in needs.items() if flag not in cpu_flags())


def want(*tools: str) -> None:
    """Skip a test that misses one, and fail it in CI."""
    lack = [tool for tool in tools if shutil.which(tool) is None]
    if lack and os.environ.get("CI"):
        pytest.fail(f"CI needs {', '.join(lack)}")
    if lack:
        pytest.skip(f"not installed: {', '.join(lack)}")


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def labelled(
    program: Path,
    file: Path,
    frame: U8,
    instructions: str,
    *,
    arithmetic: str = "",
    threads: int = 2,
    emulator: tuple[str, ...] = (),
) -> tuple[U8, F32]:
    """What labels.cpp gives: (H, W) labels, and the scores as one list."""
    height, width = frame.shape[:2]
    sizes = (str(side) for side in (height, width, threads))
    command = [*emulator, str(program), str(file), instructions, *sizes, arithmetic]
    done = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    pixels = height * width
    labels = np.frombuffer(done.stdout[:pixels], np.uint8).reshape(height, width)
    return labels, np.frombuffer(done.stdout[pixels:], np.float32)


def assert_is_bf16(found: tuple[U8, F32], wanted: tuple[F32, F32]) -> None:
    """What labels.cpp gives, of PyTorch's scores and enlarged scores: as exact as bf16 is, and not more."""
    labels, scores = found
    error = np.abs(scores - wanted[0].ravel()).max() / np.abs(wanted[0]).max()
    assert 1e-4 < error < 1e-2
    assert (labels == wanted[1].argmax(0)).mean() > 0.98


def linked(
    program: str, build: Path, flags: tuple[str, ...], *options: str, compiler: str = "c++", also: tuple[str, ...] = ()
) -> Path:
    """`program` of this folder with the engine, both compiled with `flags` and no others. options: for CMake.

    also: more of this folder's sources.
    """
    settings = [
        f"CMAKE_CXX_COMPILER={compiler}",
        "CMAKE_BUILD_TYPE=Debug",
        f"CMAKE_CXX_FLAGS_DEBUG={' '.join(flags)}",  # without CMake's -g, which takes half of the compiler's time
        "BUILD_SHARED_LIBS=OFF",
        "CGNET_WERROR=ON",
        *options,
    ]
    run(
        ["cmake", "-S", str(SOURCE), "-B", str(build), "-G", "Ninja", *UNITY, *(f"-D{setting}" for setting in settings)]
    )
    run(["cmake", "--build", str(build)])
    out, library = build / Path(program).stem, build / "libcgnet_native.a"
    sources = [str(HERE / source) for source in (program, *also)]
    includes = [f"-I{SOURCE / folder}" for folder in ("include", "src")]
    run([compiler, "-std=c++17", *flags, *includes, *sources, str(library), "-lpthread", "-o", str(out)])
    return out
