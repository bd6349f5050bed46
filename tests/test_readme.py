"""README is executed: every fenced console and python block, in order, in one folder with real files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

from cgnet_deploy.bench.cli import main as bench_main
from cgnet_deploy.checkpoint.cli import main as convert_main
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor.cli import main as doctor_main
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.train.cli import main as train_main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+) ?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The word after a block's language says why no test runs it: it makes a checkout, takes an hour, or needs a GPU.
NOT_RUN = {"set-up", "long", "gpu"}


class Block(NamedTuple):
    language: str
    mark: str
    text: str


def blocks() -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(README.read_text(encoding="utf-8"))]


def script(block: Block) -> list[str]:
    """The command that runs a block: what stands behind its prompts, or all of its Python."""
    if block.language == "python":
        return [sys.executable, "-c", block.text]
    prompts = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return ["bash", "-euc", "\n".join(prompts)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What README's reader has: a checkpoint, and a video of the size that it was trained for."""
    shutil.copy(ROOT / "cgnet_deploy" / "weights" / "scenes.pth", tmp_path / "model.pth")
    scenes = open_dataset("scenes", "val")
    height, width, _ = scenes.frame(0).shape
    video = cv2.VideoWriter(str(tmp_path / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (width, height))
    for i in range(2):
        video.write(scenes.frame(i))
    video.release()
    return tmp_path


def test_every_block_is_run_or_says_why_not() -> None:
    assert {block.mark for block in blocks() if block.mark} <= NOT_RUN
    assert {block.language for block in blocks()} == {"console", "python", "text"}
    assert all("$ " in block.text for block in blocks() if block.language == "console")


def test_the_blocks_run(folder: Path) -> None:
    runnable = [block for block in blocks() if block.language != "text" and not block.mark]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in runnable:
        run = subprocess.run(
            script(block), cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{block.text}\n{run.stdout}{run.stderr}"
    assert {"cgnet.onnx", "cgnet.plan", "own.pth", "overlay.png"} <= {file.name for file in folder.iterdir()}


def test_every_target_that_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    code = re.findall(r"`[^`\n]+`|^\$ .+$", README.read_text(encoding="utf-8"), re.MULTILINE)
    named = {target for text in code for target in re.findall(r"\bmake ([a-z]+)", text)}
    assert {"demo", "test", "check"} <= named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_flag_that_readme_names_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for main in (bench_main, convert_main, doctor_main, export_main, train_main):
        with pytest.raises(SystemExit):
            main(["--help"])
    named = re.findall(r"--[a-z][a-z-]+", README.read_text(encoding="utf-8"))
    assert set(named) <= set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
