"""The kernels of AMX, AVX-512 and AVX-VNNI on any x86 CPU with AVX2.

Functions do what the instructions of the first do, and SIMDe what those of the second do. The third has one, and its
kernels run as they are: where the CPU refuses the instruction, a signal handler does what it would have done.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.data.dataset import fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames
from tests.engines.native.conftest import HERE, SCENES, assert_is_bf16, labelled, linked, run, want
from tests.engines.test_nativecpu import F32_PARITY, pruned, scores_of

FLAGS = ("-Og",)  # a quarter of the time that -O3 compiles
BF16 = pytest.mark.parametrize("instructions", ["avx512", "amx"])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    want("cmake", "c++", "ninja")
    if not Path("/usr/include/simde/x86/avx512.h").exists():
        pytest.skip("SIMDe is not installed: apt-get install libsimde-dev")
    if "avx2" not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip("this CPU has no AVX2")
    return tmp_path_factory.mktemp("emulated")


def built(program: str, build: Path) -> Path:
    return linked(program, build, FLAGS, f"CGNET_EMULATE={HERE / 'emulated.hpp'}", also=("avx_vnni.cpp",))


@pytest.fixture(scope="module")
def program(build: Path) -> Path:
    return built("labels.cpp", build)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pruned(tmp_path_factory.mktemp("dead"))


def test_sums_are_right_to_the_bit(build: Path) -> None:
    sums = str(built("sums.cpp", build))
    run([sums, "100", "avx512"])
    run([sums, "100", "avx512", "bf16"])
    run([sums, "100", "amx"])
    run([sums, "100", "amx", "bf16"])
    run([sums, "20", "avx_vnni"])


@pytest.mark.parametrize("size", [(97, 131), (32, 33)])
def test_f32_scores_are_pytorchs_with_live_gates(
    size: tuple[int, int], program: Path, files: tuple[Path, Path]
) -> None:
    scores, logits = scores_of(SCENES, size)
    labels, found = labelled(program, files[0], drawn_frames(1, *size)[0], "avx512")
    assert np.abs(found - scores.ravel()).max() <= F32_PARITY * np.abs(scores).max()
    assert (labels == logits.argmax(0)).mean() > 0.999


def test_f32_scores_are_pytorchs_with_dead_channels(program: Path, dead: tuple[Path, Path]) -> None:
    checkpoint, file = dead
    scores, _ = scores_of(checkpoint, (75, 64))
    _, found = labelled(program, file, drawn_frames(1, 75, 64)[0], "avx512")
    assert np.abs(found - scores.ravel()).max() <= F32_PARITY * np.abs(scores).max()


@pytest.mark.parametrize(("emulated", "count"), [("amx", 3), ("avx512", 3), ("avx_vnni", 1)])
def test_int8_labels_are_those_of_the_portable_kernels(
    emulated: str, count: int, program: Path, files: tuple[Path, Path]
) -> None:
    """Which other tests hold to ONNX Runtime; residual sums are f32 there and f16 here."""
    data = open_dataset("scenes", "val")
    frames = [fit_frame(data.frame(i), Res(64, 96)) for i in range(count)]
    wanted, found = (
        np.stack([labelled(program, files[1], frame, instructions)[0] for frame in frames])
        for instructions in ("generic", emulated)
    )
    assert len(np.unique(wanted)) > 3
    assert (found == wanted).mean() >= 0.99


@BF16
@pytest.mark.parametrize("size", [(97, 131), (32, 33)])
def test_bf16_scores_are_pytorchs_but_for_its_rounding(
    size: tuple[int, int], instructions: str, program: Path, files: tuple[Path, Path]
) -> None:
    found = labelled(program, files[0], drawn_frames(1, *size)[0], instructions, arithmetic="bf16")
    assert_is_bf16(found, scores_of(SCENES, size))


@BF16
def test_bf16_scores_are_pytorchs_with_dead_channels(instructions: str, program: Path, dead: tuple[Path, Path]) -> None:
    checkpoint, file = dead
    found = labelled(program, file, drawn_frames(1, 75, 64)[0], instructions, arithmetic="bf16")
    assert_is_bf16(found, scores_of(checkpoint, (75, 64)))


@BF16
def test_bf16_labels_are_the_same_for_every_number_of_threads(
    instructions: str, program: Path, files: tuple[Path, Path]
) -> None:
    frame = drawn_frames(1, 161, 203)[0]
    wanted, scores = labelled(program, files[0], frame, instructions, arithmetic="bf16", threads=1)
    for threads in (2, 3, 5):
        labels, found = labelled(program, files[0], frame, instructions, arithmetic="bf16", threads=threads)
        np.testing.assert_array_equal(labels, wanted)
        np.testing.assert_array_equal(found, scores)
