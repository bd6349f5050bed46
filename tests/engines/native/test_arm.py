"""The Arm kernels, compiled by a cross compiler and run by an emulator, against PyTorch and this machine's kernels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.data.dataset import fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import MissingPackage
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames
from tests.engines.native.conftest import SCENES, assert_is_bf16, labelled, linked, run, want
from tests.engines.test_nativecpu import F32_PARITY, opened, pruned, scores_of

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
CPUS = {"i8mm": "max", "dotprod": "cortex-a76", "generic": "cortex-a72"}  # the best that each runs


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    want("cmake", "ninja")
    for tool, package in ((COMPILER, "g++-aarch64-linux-gnu"), (EMULATOR, "qemu-user")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt-get install {package}")
    return tmp_path_factory.mktemp("arm")


def for_arm(program: str, build: Path) -> Path:
    system = ("CMAKE_SYSTEM_NAME=Linux", "CMAKE_SYSTEM_PROCESSOR=aarch64")
    return linked(program, build, ("-O1", "-static"), *system, compiler=COMPILER)


@pytest.fixture(scope="module")
def program(build: Path) -> Path:
    return for_arm("labels.cpp", build)


def emulator(cpu: str) -> tuple[str, ...]:
    return EMULATOR, "-cpu", cpu


def test_sums_are_right_to_the_bit(build: Path) -> None:
    sums = for_arm("sums.cpp", build)
    run([*emulator("max"), str(sums), "50", "neon", "bf16"])
    for instructions, cpu in CPUS.items():
        run([*emulator(cpu), str(sums), "50", instructions])


@pytest.mark.parametrize("instructions", CPUS)
def test_f32_scores_are_pytorchs(instructions: str, program: Path, files: tuple[Path, Path]) -> None:
    size = (61, 83)
    scores, logits = scores_of(SCENES, size)
    labels, found = labelled(program, files[0], drawn_frames(1, *size)[0], "", emulator=emulator(CPUS[instructions]))
    assert np.abs(found - scores.ravel()).max() <= F32_PARITY * np.abs(scores).max()
    assert (labels == logits.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("channels", ["all", "some"])
def test_bf16_scores_are_pytorchs_but_for_its_rounding(
    channels: str, program: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    size = (61, 83)
    checkpoint, file = (SCENES, files[0]) if channels == "all" else pruned(tmp_path)
    frame = drawn_frames(1, *size)[0]
    found = labelled(program, file, frame, "neon", arithmetic="bf16", emulator=emulator("max"))
    assert_is_bf16(found, scores_of(checkpoint, size))


@pytest.mark.parametrize("instructions", CPUS)
def test_int8_labels_are_those_of_this_machine(instructions: str, program: Path, files: tuple[Path, Path]) -> None:
    """Of the portable kernels, which other tests hold to ONNX Runtime; residual sums are f32 there and f16 here."""
    data = open_dataset("scenes", "val")
    frames = [fit_frame(data.frame(i), Res(64, 96)) for i in range(3)]
    try:
        with opened(files[1], instructions="generic") as engine:
            wanted = np.concatenate([engine.infer(frame[None]) for frame in frames])
    except MissingPackage as error:
        pytest.skip(str(error))
    found = np.stack(
        [labelled(program, files[1], frame, "", emulator=emulator(CPUS[instructions]))[0] for frame in frames]
    )
    assert len(np.unique(wanted)) > 3
    assert (found == wanted).mean() >= 0.99


@pytest.mark.parametrize(("cpu", "lacks"), [("cortex-a76", "i8mm"), ("cortex-a72", "dotprod")])
def test_a_cpu_without_them_says_so(cpu: str, lacks: str, program: Path, files: tuple[Path, Path]) -> None:
    command = [*emulator(cpu), str(program), str(files[1]), lacks, "64", "96", "1", ""]
    done = subprocess.run(command, input=bytes(64 * 96 * 3), capture_output=True, check=False)
    assert done.returncode == 5
    assert done.stderr.decode().startswith(f'no kernels "{lacks}" for this CPU, which runs ')


def test_a_cpu_without_bf16_says_so(program: Path, files: tuple[Path, Path]) -> None:
    command = [*emulator("cortex-a76"), str(program), str(files[0]), "", "64", "96", "1", "bf16"]
    done = subprocess.run(command, input=bytes(64 * 96 * 3), capture_output=True, check=False)
    assert done.returncode == 5
    assert done.stderr.decode() == "this CPU has no bf16 (it runs dotprod, generic)\n"
