"""What is missing by a video's time stamps: cgnet_video counts as cgnet-video does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.video.timeline import Timeline
from tests.engines.cpp.conftest import HERE, SOURCE

RUNS = 300


@pytest.fixture(scope="session")
def counter(toolchain: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program, example = tmp_path_factory.mktemp("timeline") / "counter", SOURCE / "example"
    sources = [HERE / "timeline_driver.cpp", example / "timeline.cpp"]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=undefined", f"-I{example}"]
    subprocess.run(["c++", *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


def stamps(rng: np.random.Generator, fps: float) -> list[float]:
    """Of a steady video with gaps, jitter, joined recordings, swapped pieces, stamps of 0 and impossible ones."""
    numbers = np.arange(int(rng.integers(1, 200)), dtype=float)
    for _ in range(int(rng.integers(0, 4))):
        at, length = int(rng.integers(0, len(numbers))), int(rng.integers(1, 20))
        kind = rng.integers(0, 5)
        if kind == 0:
            numbers = np.delete(numbers, slice(at, at + length)) if len(numbers) > at + length else numbers
        elif kind == 1:
            numbers[at:] -= numbers[at]
        elif kind == 2:
            numbers = np.roll(numbers, at)
        elif kind == 3:
            numbers[at : at + length] = 0
        else:
            numbers[at:] += length * fps
    seconds = numbers / fps + rng.uniform(0, float(rng.choice([0, 0.05, 0.4])), len(numbers)) / fps
    seconds[numbers == 0] = 0
    if rng.random() < 0.2:
        seconds[rng.integers(0, len(seconds))] = rng.choice([np.nan, np.inf, -1.0])
    return [float(one) for one in seconds]


def test_it_counts_as_python_does(counter: Path) -> None:
    lacking = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        fps = float(rng.choice([10.0, 25.0, 30000 / 1001, 59.94]))
        timeline, wanted, given = Timeline(fps), [], stamps(rng, fps)
        for stamp_s in given:
            timeline.place(stamp_s)
            wanted.append(timeline.missing)
        words = "\n".join(map(repr, [fps, *given]))
        done = subprocess.run([counter], input=words, capture_output=True, text=True, check=True)
        assert [int(line) for line in done.stdout.split()] == wanted, seed
        lacking += wanted[-1] > 0
    assert lacking > RUNS / 4


@pytest.mark.parametrize("stamp", ["1e300", "-1e300", "inf", "nan"])
def test_an_impossible_stamp_is_none(stamp: str, counter: Path) -> None:
    words = "\n".join(["25", *(str(number / 25) for number in range(50)), stamp])
    done = subprocess.run([counter], input=words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "0"
    assert done.stderr == ""
