"""The CPU engine's CMake package, and the example that a project of its own builds with it."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from tests.engines.cpp.conftest import HEADERS
from tests.engines.graphs import drawn_frames
from tests.engines.native.conftest import SOURCE, UNITY, run, runnable, want

pytestmark = pytest.mark.timeout(900)  # a build, which a busy machine of two cores takes minutes for
STAGE = r"^\| ([^|]+) \| [\d.]+ \| (\d+) \|.*\| (\d+) % \|$"
OPENCV = Path("/usr/include/opencv4") / HEADERS[-1]


def test_an_installed_package_is_found_and_segments_a_video(files: tuple[Path, Path], tmp_path: Path) -> None:
    want("cmake", "c++", "ninja")
    if not OPENCV.is_file():
        pytest.skip(f"{OPENCV} is missing: apt-get install libopencv-videoio-dev")
    build, prefix, example = (tmp_path / name for name in ("build", "prefix", "example"))
    ninja = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]
    options = [*UNITY, f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DCGNET_BENCH=ON", *(f"-D{one}" for one in runnable())]
    run(["cmake", "-S", str(SOURCE), "-B", str(build), *ninja, *options])
    run(["cmake", "--build", str(build)])
    run(["cmake", "--install", str(build)])
    flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wconversion -Werror"
    run(["cmake", "-S", str(SOURCE / "example"), "-B", str(example), *ninja, f"-DCMAKE_PREFIX_PATH={prefix}", flags])
    run(["cmake", "--build", str(example)])

    frames, video, labels = drawn_frames(3, 62, 84), tmp_path / "drawn.avi", tmp_path / "labels"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"FFV1"), 10.0, (84, 62))
    for frame in frames:
        writer.write(frame)
    writer.release()
    run([str(example / "segment"), str(files[0]), str(video), str(labels)])
    with open_engine(f"ort:{files[0]}", threads=1) as engine:
        wanted = engine.infer(frames)
    found = np.fromfile(labels, np.uint8).reshape(wanted.shape)
    assert len(np.unique(wanted)) > 2
    assert (found == wanted).mean() > 0.999

    for bad, says in (((files[0],), "wanted FILE VIDEO LABELS"), ((video, video, labels), "not an ONNX file")):
        done = subprocess.run([example / "segment", *bad], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert says in done.stderr

    # The stages' operators are all of the network's, and their shares of the roofline are below it.
    done = subprocess.run([build / "stages", files[1], "1", "64x96", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {cells[0]: cells[1:] for cells in re.findall(STAGE, done.stdout, re.MULTILINE)}
    assert {"stem.0", "stage2.0", "stage3, other blocks", "classifier", "gates", "labels", "all"} <= rows.keys()
    total = sum(int(macs) for stage, (macs, _) in rows.items() if stage != "all")
    assert int(rows["all"][0]) == pytest.approx(total, abs=len(rows))
    assert all(0 <= int(share) <= 100 for _, share in rows.values())


def test_a_compiler_older_than_some_instructions_leaves_their_kernels_out(tmp_path: Path) -> None:
    want("cmake", "c++", "ninja")
    if platform.machine() != "x86_64":
        pytest.skip("the flags are of x86-64")
    flag, compiler, build = "-mavx512bf16", tmp_path / "c++", tmp_path / "build"
    compiler.write_text(f'#!/bin/sh\ncase " $* " in *" {flag} "*) exit 1;; esac\nexec c++ "$@"\n')
    compiler.chmod(0o755)
    options = (f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    run(["cmake", "-S", str(SOURCE), "-B", str(build), "-G", "Ninja", *options])
    compiled = json.loads((build / "compile_commands.json").read_text())
    flags = {Path(one["file"]).name: one["command"].split() for one in compiled}
    assert flag not in flags["kernels_avx512_bf16.cpp"]
    assert "-mavx512vnni" not in flags["kernels_avx512_bf16.cpp"]
    assert "-mavx512vnni" in flags["kernels_avx512.cpp"]
