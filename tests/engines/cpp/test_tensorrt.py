"""The TensorRT backend against a stand-in under the sanitizers, and compiled against NVIDIA's headers where they are.

Not yet run on a GPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.artifact import IO
from tests.engines.cpp.conftest import HERE, SOURCE, Sanitized, cmake
from tests.engines.cpp.plans import HEADER, ONE_SIZE, labels_of, write_plan
from tests.engines.graphs import CLASSES, drawn_frames

FRAMES = drawn_frames(6, 40, 56)
TWO_PROFILES = "1 32 32 1 36 48  1 38 50 2 64 64"


def drive(
    sanitized: Sanitized,
    plan: Path,
    *,
    threads: int = 1,
    contexts: int = 1,
    batch: int = 1,
    crops: str = "40x56",
    fault: str = "",
) -> subprocess.CompletedProcess[str]:
    FRAMES.tofile(plan.parent / "frames")
    numbers = [str(n) for n in (len(FRAMES), 40, 56, threads, contexts, batch)]
    return sanitized.run(
        sanitized.driver, plan, plan.parent / "frames", *numbers, crops, plan.parent / "labels", STAND_IN_FAULT=fault
    )


@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_four_threads_get_the_labels_of_the_network(io: IO, sanitized: Sanitized, tmp_path: Path) -> None:
    done = drive(sanitized, write_plan(tmp_path, io), threads=4, contexts=2)
    assert done.returncode == 0, done.stderr
    expected = labels_of(FRAMES, io)
    assert len(np.unique(expected)) > 2
    for of_thread in np.fromfile(tmp_path / "labels", np.uint8).reshape(4, *FRAMES.shape[:3]):
        np.testing.assert_array_equal(of_thread, expected)
    # Two contexts of 1000 bytes, with buffers for frames and labels, and f32 planes and logits where they are.
    pixels, plan_bytes = 40 * 56, (tmp_path / "cgnet.plan").stat().st_size
    own = 4 * pixels + (4 * (3 + CLASSES) * pixels if io == "tensor" else 0)
    assert done.stdout.splitlines() == [f"tensorrt|Stand-in, CUDA graph|{plan_bytes + 2 * (1000 + own)}"] * 2


def test_sizes_change_from_call_to_call_and_profiles_with_them(sanitized: Sanitized, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, profiles=TWO_PROFILES, shape=(None, None, None))
    done = drive(sanitized, plan, threads=2, contexts=2, crops="32x40,40x56,33x48")
    assert done.returncode == 0, done.stderr
    sizes = [(32, 40), (40, 56), (33, 48)] * 2
    expected = [labels_of(frame[None, :h, :w], "frames") for frame, (h, w) in zip(FRAMES, sizes, strict=True)]
    flat = np.concatenate([labels.ravel() for labels in expected])
    np.testing.assert_array_equal(np.fromfile(tmp_path / "labels", np.uint8), np.concatenate([flat, flat]))


def test_a_version_of_three_numbers_is_that_of_pythons_tensorrt_before_10_8(
    sanitized: Sanitized, tmp_path: Path
) -> None:
    done = drive(sanitized, write_plan(tmp_path, version="10.13.3"))
    assert done.returncode == 0, done.stderr


def test_a_batch_is_one_inference(sanitized: Sanitized, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, profiles="1 40 56 2 40 56", shape=(None, 40, 56))
    assert drive(sanitized, plan, batch=2).returncode == 0
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "labels", np.uint8).reshape(FRAMES.shape[:3]), labels_of(FRAMES, "frames")
    )


def test_without_a_recording_it_runs_all_the_same(sanitized: Sanitized, tmp_path: Path) -> None:
    done = drive(sanitized, write_plan(tmp_path), fault="capture")
    assert done.returncode == 0, done.stderr
    assert "|Stand-in, no CUDA graph|" in done.stdout
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "labels", np.uint8).reshape(FRAMES.shape[:3]), labels_of(FRAMES, "frames")
    )


@pytest.mark.parametrize("profiles", [ONE_SIZE, TWO_PROFILES], ids=["one size", "two profiles"])
@pytest.mark.parametrize("other", ["second gpu", "default stream"])
def test_threads_with_another_gpu_and_work_of_others_change_nothing(
    other: str, profiles: str, sanitized: Sanitized, tmp_path: Path
) -> None:
    """Opened on the second GPU, called by threads whose current one is the first; somebody uses the default stream."""
    plan = write_plan(tmp_path, profiles=profiles, shape=(1, 40, 56))
    done = drive(sanitized, plan, threads=3, contexts=2, fault=other)
    assert done.returncode == 0, done.stderr
    assert "|Stand-in, CUDA graph|" in done.stdout
    for of_thread in np.fromfile(tmp_path / "labels", np.uint8).reshape(3, *FRAMES.shape[:3]):
        np.testing.assert_array_equal(of_thread, labels_of(FRAMES, "frames"))


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("no gpu", 5, "can't run here: no NVIDIA GPU: no device"),
        ("runtime", 5, "TensorRT can't start: no reason given"),
        ("context", 1, "TensorRT can't make a context for "),
        ("memory", 1, "the GPU has no memory left: a pinned buffer"),
        ("enqueue", 1, "TensorRT can't start: out of resources"),
        ("output", 2, "does not return a label for each pixel of N=1 H=40 W=56; make it again with: cgnet-export"),
        ("type", 2, "is not a plan from u8 frames to u8 labels, as its sidecar says; make it again with: "),
    ],
)
def test_what_fails_on_the_gpu_is_one_line(
    fault: str, code: int, says: str, sanitized: Sanitized, tmp_path: Path
) -> None:
    done = drive(sanitized, write_plan(tmp_path), fault=fault)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"header": b"onnx" + bytes(24)}, 2, "is not a TensorRT plan; make it again with: "),
        ({"header": b"ftrt", "body": ""}, 2, "is not a TensorRT plan; make it again with: "),
        ({"header": b"vtrt" + HEADER[4:]}, 2, "was written by tensorrt_rtx 10.13.3.9, but its sidecar says tensorrt"),
        ({"version": "10.13.3.8"}, 2, "was written by tensorrt 10.13.3.9, but its sidecar says tensorrt 10.13.3.8"),
        (
            {"version": "11.1.0.106", "header": HEADER[:24] + bytes([11, 1, 0, 106])},
            5,
            "was built by tensorrt 11.1.0.106, but 10.13.3.9 is installed, which can't read it; build it here again: ",
        ),
        ({"architecture": "sm_80"}, 5, "was built for sm_80, but this GPU (Stand-in) is sm_90; build it here again: "),
        ({"body": "damaged"}, 5, "TensorRT refuses "),
        ({"shape": (None, 40, 56), "profiles": "2 40 56 4 40 56"}, 2, "the plan was not built for N=1 H=40 W=56;"),
    ],
    ids=["tag", "short", "RTX's", "said", "version", "architecture", "damaged", "profile"],
)
def test_a_plan_that_does_not_fit_is_one_line(
    change: dict[str, object], code: int, says: str, sanitized: Sanitized, tmp_path: Path
) -> None:
    done = drive(sanitized, write_plan(tmp_path, **change))  # type: ignore[arg-type]
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line


def cuda_include() -> Path | None:
    nvcc = shutil.which("nvcc")
    beside = Path(nvcc).resolve().parents[1] / "include" if nvcc else Path("/usr/local/cuda/include")
    folder = Path(os.environ.get("CGNET_CUDA_INCLUDE", beside))
    return folder if (folder / "cuda_runtime_api.h").is_file() else None


@pytest.mark.usefixtures("toolchain")
def test_cmake_and_nvcc_build_it(tmp_path: Path) -> None:
    """The library's own CMake, with the stand-in's header and a library of nothing in TensorRT's place."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    root = tmp_path / "tensorrt"
    (root / "include").mkdir(parents=True)
    (root / "lib").mkdir()
    shutil.copy(HERE / "stand_in" / "NvInferRuntime.h", root / "include")
    empty = ["c++", "-shared", "-fPIC", "-x", "c++", "/dev/null", "-o", str(root / "lib" / "libnvinfer.so")]
    subprocess.run(empty, check=True)
    cmake(
        SOURCE,
        tmp_path / "build",
        "CGNET_OPENVINO=OFF",
        "CGNET_NATIVE=OFF",
        "CGNET_TENSORRT=ON",
        "CMAKE_BUILD_TYPE=Debug",
        "CMAKE_CXX_FLAGS_DEBUG=",
        "CMAKE_UNITY_BUILD=ON",
        f"TENSORRT_ROOT={root}",
    )
    library = tmp_path / "build" / "libcgnet.so"
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    assert "5cgnet9Segmenter" in symbols
    assert "5cgnet4cuda" not in symbols  # its kernels are its own
    assert "cudart_static" not in (tmp_path / "build" / "build.ninja").read_text()  # one runtime for all of a process


def test_it_compiles_against_the_headers_of_nvidia(tmp_path: Path) -> None:
    """CGNET_TENSORRT_INCLUDE: folders that hold NvInferRuntime.h, of one version each, with : between them."""
    folders = [Path(folder) for folder in os.environ.get("CGNET_TENSORRT_INCLUDE", "").split(":") if folder]
    cuda = cuda_include()
    if not folders or cuda is None or shutil.which("c++") is None:
        pytest.skip("CGNET_TENSORRT_INCLUDE and CGNET_CUDA_INCLUDE don't say where TensorRT's and CUDA's headers are")
    for folder in folders:
        command = ["c++", "-std=c++17", "-c", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
        includes = [f"-I{SOURCE}/include", "-isystem", str(folder), "-isystem", str(cuda)]
        for name in ("handover", "tensorrt", "trtcontext"):
            source = [str(SOURCE / f"src/{name}.cpp"), "-o", str(tmp_path / f"{name}.o")]
            run = subprocess.run([*command, *includes, *source], capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"{folder}\n{run.stderr}"
