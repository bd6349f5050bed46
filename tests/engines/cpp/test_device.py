"""Frames in device memory, against a stand-in for CUDA and TensorRT, under the sanitizers. Not yet run on a GPU."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.artifact import IO, Artifact
from cgnet_deploy.pixels import U8
from tests.engines.cpp.conftest import HERE, SOURCE, Sanitized
from tests.engines.cpp.plans import labels_of, write_plan
from tests.engines.graphs import drawn_frames
from tests.engines.nv12 import FORMATS, frames_of

FRAMES = drawn_frames(4, 40, 56)
NV12 = np.random.default_rng(7).integers(0, 256, (4, 60, 56), np.uint8)


def drive(
    sanitized: Sanitized,
    engine: Path,
    folder: Path,
    frames: U8 = FRAMES,
    kind: str = "bgr",
    *,
    batch: int = 1,
    threads: int = 1,
    wrong: str = "",
    fault: str = "",
) -> subprocess.CompletedProcess[str]:
    frames.tofile(folder / "frames")
    said = [str(len(frames)), "40", "56", str(batch), kind, str(threads), wrong]
    return sanitized.run(
        sanitized.device_driver, engine, folder / "frames", *said, folder / "labels", STAND_IN_FAULT=fault
    )


def labels_in(folder: Path) -> U8:
    return np.fromfile(folder / "labels", np.uint8).reshape(-1, *FRAMES.shape[:3])


@pytest.mark.parametrize("fault", ["", "capture"])
@pytest.mark.parametrize("io", ["frames", "tensor"])
def test_device_frames_give_what_host_frames_give(io: IO, fault: str, sanitized: Sanitized, tmp_path: Path) -> None:
    """Three streams, two contexts, with a graph and without; the driver compares with the host's way, bit for bit."""
    done = drive(sanitized, write_plan(tmp_path, io), tmp_path, threads=3, fault=fault)
    assert done.returncode == 0, done.stderr
    for of_thread in labels_in(tmp_path):
        np.testing.assert_array_equal(of_thread, labels_of(FRAMES, io))


@pytest.mark.parametrize("kind", FORMATS)
def test_nv12_is_converted_by_the_stated_integers(kind: str, sanitized: Sanitized, tmp_path: Path) -> None:
    done = drive(sanitized, write_plan(tmp_path), tmp_path, NV12, kind)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(labels_in(tmp_path)[0], labels_of(frames_of(kind, NV12), "frames"))


@pytest.mark.parametrize(("kind", "frames"), [("bgr", FRAMES), ("nv12_bt709_limited", NV12)], ids=["bgr", "nv12"])
def test_a_batch_is_one_inference(kind: str, frames: U8, sanitized: Sanitized, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, profiles="1 40 56 2 40 56", shape=(None, 40, 56))
    done = drive(sanitized, plan, tmp_path, frames, kind, batch=2)
    assert done.returncode == 0, done.stderr
    bgr = frames if kind == "bgr" else frames_of(kind, frames)
    np.testing.assert_array_equal(labels_in(tmp_path)[0], labels_of(bgr, "frames"))


def test_the_default_stream_is_a_stream_too(sanitized: Sanitized, tmp_path: Path) -> None:
    done = drive(sanitized, write_plan(tmp_path), tmp_path, wrong="default stream")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(labels_in(tmp_path)[0], labels_of(FRAMES, "frames"))


@pytest.mark.parametrize(
    ("kind", "wrong", "says"),
    [
        ("bgr", "no frame", "a frame of 40x56 without pixels; wanted (H, W, 3), BGR"),
        ("bgr", "no labels", "no memory for the labels; wanted a byte a pixel"),
        ("bgr", "host frame", "a frame's pixels: not in the memory of a GPU; what is in the host's is a cgnet::Frame"),
        ("bgr", "host labels", "the memory for the labels: not in the memory of a GPU; "),
        ("bgr", "too short", "a frame's pixels: ends behind the memory of the GPU; check height and pitch"),
        ("bgr", "pitch", "a frame 40x56 whose rows are 55 bytes apart; wanted 3 bytes a pixel"),
        ("bgr", "chroma of bgr", "a BGR frame 40x56 with chroma; say which NV12 it is"),
        ("bgr", "format", "a frame 40x56 of an unknown format; wanted one of cgnet::Format"),
        ("bgr", "size", "frames are N=1 H=42 W=56, this engine takes N=1 H=40 W=56; resize them"),
        ("bgr", "other gpu", "a frame's pixels: on GPU 1, and this engine is on GPU 0 (Stand-in); copy it there"),
        ("bgr", "stream of other gpu", "the stream is not one of GPU 0 (Stand-in), on which this engine runs"),
        ("bgr", "capture", "the stream is being captured into a graph; call this outside of the capture"),
        ("nv12_bt601_full", "no chroma", "an NV12 frame 40x56 without chroma"),
        ("nv12_bt601_full", "host chroma", "a frame's chroma: not in the memory of a GPU; "),
        ("nv12_bt601_full", "pitch", "a frame 40x56 whose rows are 55 bytes apart; wanted a byte a pixel of luma"),
        ("nv12_bt601_full", "chroma pitch", "rows are 55 bytes apart; wanted a byte a pixel in each row of chroma"),
        ("nv12_bt601_full", "odd", "an NV12 frame 41x56: both sides must be even"),
    ],
)
def test_what_can_not_be_taken_is_one_line(
    kind: str, wrong: str, says: str, sanitized: Sanitized, tmp_path: Path
) -> None:
    done = drive(sanitized, write_plan(tmp_path), tmp_path, FRAMES if kind == "bgr" else NV12, kind, wrong=wrong)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line


def test_an_engine_on_a_cpu_takes_host_memory_only(sanitized: Sanitized, fixed_onnx: Artifact, tmp_path: Path) -> None:
    if sanitized.name == "tsan":
        pytest.skip("the same code, and OpenVINO is slow to open under it")
    done = drive(sanitized, fixed_onnx.path, tmp_path)
    assert (done.returncode, done.stderr) == (
        5,
        "this engine runs on a CPU and takes frames in host memory; make a plan for frames on a GPU\n",
    )


@pytest.mark.usefixtures("toolchain")
def test_the_code_of_the_guide_compiles(tmp_path: Path) -> None:
    guide = (SOURCE.parents[1] / "docs" / "cpp.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall("```cpp\n(.*?)```", guide, re.DOTALL) if "cgnet/device.hpp" in block)
    (tmp_path / "guide.cpp").write_text(code)
    command = ["c++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    run = subprocess.run(
        [*command, f"-I{SOURCE}/include", "-isystem", str(HERE / "stand_in"), str(tmp_path / "guide.cpp")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
