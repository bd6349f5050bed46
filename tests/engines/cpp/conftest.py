"""The C++ library as users get it, built and installed once, and with the sanitizers once each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.pixels import U8
from tests.engines.graphs import drawn_frames
from tests.engines.native.conftest import runnable

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "engines" / "cpp"
FRAMES = drawn_frames(9, 40, 56)
MakeVideo = Callable[[str, U8], Path]
HEADERS = ("libavformat/avformat.h", "nlohmann/json.hpp", "openssl/evp.h", "opencv2/imgproc.hpp", "opencv2/videoio.hpp")
INSTALL = (
    "apt-get install cmake g++ libavformat-dev libopencv-imgproc-dev libopencv-videoio-dev libssl-dev ninja-build "
    "nlohmann-json3-dev pkg-config"
)


def missing() -> str | None:
    """What this machine lacks to build the library, None if nothing."""
    for tool in ("cmake", "c++", "ninja", "pkg-config"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed: {INSTALL}"
    for header in HEADERS:
        probe = ["c++", "-std=c++17", "-fsyntax-only", "-x", "c++", "-I/usr/include/opencv4", "-"]
        code = f'#if !__has_include("{header}")\n#error missing\n#endif\n'
        if subprocess.run(probe, input=code, capture_output=True, text=True, check=False).returncode:
            return f"<{header}> is not installed: {INSTALL}"
    if openvino_cmake() is None:
        return "OpenVINO's wheel is not installed: pip install openvino"
    return None


def openvino_cmake() -> Path | None:
    """The folder of the wheel that holds OpenVINO's CMake package."""
    spec = importlib.util.find_spec("openvino")
    folder = Path(spec.origin).parent / "cmake" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def openvino_libraries() -> Path:
    folder = openvino_cmake()
    assert folder is not None
    return folder.parent / "libs"


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Compiler, CMake and the headers; their lack skips a test, and fails it in CI."""
    lack = missing()
    if lack is not None:
        if os.environ.get("CI"):
            pytest.fail(f"{lack}: CI must run the tests that need it")
        pytest.skip(lack)


# Of what is built file by file, as users get it: compiled sooner. The CPU engine's kernels are at -O3 in a release.
FAST = ("CMAKE_BUILD_TYPE=Debug", "CMAKE_CXX_FLAGS_DEBUG=-O1 -DNDEBUG")


def cmake(source: Path, build: Path, *definitions: str) -> None:
    """Configure and build `source` in `build`; a failure shows what the compiler said."""
    settings = [f"-D{one}" for one in (*definitions, "CGNET_WERROR=ON", f"OpenVINO_DIR={openvino_cmake()}")]
    for command in (
        ["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", "-Wno-dev", "--no-warn-unused-cli", *settings],
        ["cmake", "--build", str(build)],
    ):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout[-6000:]}{run.stderr[-6000:]}"


@pytest.fixture(scope="session")
def prefix(toolchain: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is installed, as `cmake --install` leaves it."""
    build, prefix = tmp_path_factory.mktemp("library"), tmp_path_factory.mktemp("prefix")
    native = f"CMAKE_PROJECT_cgnet_native_INCLUDE={HERE / 'native.cmake'}"
    cmake(SOURCE, build, f"CMAKE_INSTALL_PREFIX={prefix}", *FAST, native, *runnable())
    subprocess.run(["cmake", "--install", str(build)], check=True, capture_output=True)
    shutil.rmtree(build)  # what is installed must not need it
    return prefix


@pytest.fixture(scope="session")
def program(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cgnet_video, built as a project of its own that finds the installed library."""
    build = tmp_path_factory.mktemp("example")
    cmake(
        SOURCE / "example",
        build,
        f"CMAKE_PREFIX_PATH={prefix}",
        "CMAKE_CXX_FLAGS=-Wall -Wextra -Wconversion -Werror",
        *FAST,
    )
    return build / "cgnet_video"


@dataclass(frozen=True)
class Sanitized:
    """Our code under one sanitizer, linked statically. environment: its options, with our list of suppressions."""

    name: str
    program: Path
    driver: Path
    device_driver: Path
    misuse: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self.environment | more
        return subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False, env=environment
        )


SANITIZERS = {
    "asan": (
        "address,undefined",
        {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "halt_on_error=1"},
    ),
    "tsan": ("thread", {}),
}


@pytest.fixture(scope="session", params=list(SANITIZERS))
def sanitized(request: pytest.FixtureRequest, toolchain: None, tmp_path_factory: pytest.TempPathFactory) -> Sanitized:
    name: str = request.param
    kinds, options = SANITIZERS[name]
    build = tmp_path_factory.mktemp(name)
    cmake(HERE, build, f"SANITIZE={kinds}")
    lists = {"LSAN_OPTIONS": "lsan.supp"} if name == "asan" else {"TSAN_OPTIONS": "tsan.supp"}
    suppressions = {key: f"suppressions={HERE / file}" for key, file in lists.items()}
    libraries = str(openvino_libraries())
    # TBB loads a part of itself in a way that sanitizers refuse; OpenVINO's TBB can be told not to, Debian's can't.
    tbb = {"TBB_ENABLE_SANITIZERS": "1", "LD_LIBRARY_PATH": libraries}
    video = build / "cgnet" / "example" / "cgnet_video"
    driver, device_driver, misuse = (build / program for program in ("driver", "device_driver", "misuse"))
    return Sanitized(name, video, driver, device_driver, misuse, options | suppressions | tbb)


def run(program: Path, *flags: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *(str(flag) for flag in flags)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> MakeVideo:
    """Writes frames (N, H, W, 3) as a video without loss."""

    def make(name: str, frames: U8) -> Path:
        path = tmp_path_factory.mktemp("video") / name
        height, width = frames.shape[1:3]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10.0, (width, height))
        for frame in frames:
            writer.write(frame)
        writer.release()
        np.testing.assert_array_equal(read_video(path), frames)
        return path

    return make


@pytest.fixture(scope="session")
def video(make_video: MakeVideo) -> Path:
    return make_video("drawn.avi", FRAMES)


def read_video(path: Path) -> U8:
    """(N, H, W, 3) u8 BGR."""
    capture = cv2.VideoCapture(str(path))
    frames: list[U8] = []
    while True:
        read, frame = capture.read()
        if not read:
            return np.stack(frames)
        frames.append(np.asarray(frame, np.uint8))
