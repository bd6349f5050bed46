"""The documentation is executed: the blocks of each page, in order, in a folder that holds what its reader has.

Commands are called and Python is executed in this process, which has imported torch already: a page takes seconds.
A block that can't be run says why in the word after its language, which is one of MARKS. What pages mention beside
their blocks (flags, files, modules, `make` targets, names of the API, links) must exist.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib
import importlib.util
import io
import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import helper

import cgnet_deploy
from cgnet_deploy.bench.report.columns import described
from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor.probe import PROBES, Finding
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.spec import Res
from tests.engines.graphs import model, tensor
from tests.networks import save_shallow
from tests.pages import PAGES, ROOT, Block, blocks, prose, spans

RES = Res(64, 96)  # of the reader's checkpoint, so that a page takes seconds
FRAMES = 8  # of each split of the reader's data set: the fewest that int8 calibrates on
MARKS = {
    "set-up": "installs something, or makes a checkout",
    "long": "takes minutes or hours",
    "gpu": "needs an NVIDIA GPU",
    "server": "needs a server; tests/test_embedding.py runs the client on a stand-in",
    "maintainer": "writes into the checkout",
    "output": "shows what a command prints",
    "sketch": "shows what to write where, and is no program",
    "cluster": "starts a Ray cluster; tests/label runs the same calls",
}
# Appended to commands that don't give these flags themselves: a test needs no steady figures.
BRIEF = {"cgnet-bench": {"--warmup": "0", "--duration": "0", "--iterations": "3"}, "cgnet-train": {"--iterations": "2"}}
OTHER_PROGRAMS = re.compile(
    r"(pip|python3? -m pip|git|cmake|docker|uv|nvidia-smi|trtexec|perf_analyzer|torchrun|apt-get|pytest|"
    r"mnnconvert|onnx2tf|ovc|pnnx)\b"
)
FLAG = re.compile(r"(?<![\w-])--[a-zA-Z][\w-]*")


def entry_points() -> dict[str, str]:
    """The commands that are installed -> `module:function`."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["console_scripts"].strip().splitlines()
    return {name.strip(): target.strip() for name, _, target in (line.partition("=") for line in lines)}


@cache
def main_of(command: str) -> Callable[[Sequence[str]], int]:
    module, _, function = entry_points()[command].partition(":")
    main: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return main


@cache
def flags_of(command: str) -> frozenset[str]:
    """Of an installed command, or of a module that `python -m` runs."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        if command in entry_points():
            main_of(command)(["--help"])
        else:
            run_module(command, ["--help"])
    return frozenset(FLAG.findall(shown.getvalue()))


def run_module(name: str, words: Sequence[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *words])
        runpy.run_module(name, run_name="__main__", alter_sys=True)


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: a checkpoint and what was exported from it, a video, a picture, and a data set."""
    home = tmp_path_factory.mktemp("reader")
    save_shallow(home / "model.pth", RES)
    flags = ["--ckpt", str(home / "model.pth"), "--no-engine", "--onnx", str(home / "cgnet.onnx")]
    assert export_main(flags) == 0
    for split in ("train", "val"):
        drawn = open_dataset(f"scenes:1:{RES}", split)
        for i in range(FRAMES):
            for folder, pixels in ((split, drawn.frame(i)), (f"{split}annot", drawn.labels(i))):
                (home / "camvid" / folder).mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(home / "camvid" / folder / f"{i:02}.png"), pixels)
    own_set(home / "own")
    scenes = open_dataset("scenes:0:90x128", "val")
    video = cv2.VideoWriter(str(home / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (128, 90))
    for i in range(3):
        video.write(scenes.frame(i))
    video.release()
    spec = load_checkpoint(home / "model.pth").spec
    theirs = model(
        [helper.make_node("Conv", ["x", "weight"], ["scores"], strides=[8, 8])],
        [tensor("x", "FLOAT", 1, 3, *RES)],
        [tensor("scores", "FLOAT", 1, spec.classes, *(side // 8 for side in RES))],
        {"weight": np.zeros((spec.classes, 3, 1, 1), np.float32)},
    )
    (home / "theirs.onnx").write_bytes(theirs.SerializeToString())
    (home / "classes.txt").write_text("\n".join(spec.class_names))
    assert cv2.imwrite(str(home / "frame.png"), open_dataset(f"scenes:0:{RES}", "val").frame(0))
    return home


def own_set(folder: Path) -> None:
    """Pictures and masks of four classes, and the description that names them."""
    four = np.array([3, 3, 3, 0, 3, 3, 3, 3, 1, 2, 2], np.uint8)
    for split in ("train", "val"):
        drawn = open_dataset(f"scenes:1:{RES}", split)
        for i in range(FRAMES):
            for kind, pixels in (("images", drawn.frame(i)), ("masks", four[drawn.labels(i)])):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(folder / kind / split / f"{i:02}.png"), pixels)
    (folder / "data.yaml").write_text("names: [road, vehicle, person, other]\n")


def asked_here(name: str) -> Finding:
    part, ask = PROBES[name]
    try:
        return Finding(part, True, ask())
    except CgnetError as error:
        return Finding(part, False, str(error), "install it")


@pytest.fixture
def one_core() -> Iterator[None]:
    """Of several threads that share cores with another worker, all spin while one waits for its turn."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def folder(reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current directory."""
    shutil.copytree(reader, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # In this process, as engines/test_contract.py asks: one for each runtime imports PyTorch time and again.
    monkeypatch.setattr("cgnet_deploy.doctor.machine.probe", asked_here)
    for name in ("api.RACE_S", "api.RACE_SAMPLES", "api.WARMUP_MS", "session.FINAL_S", "session.FINAL_SAMPLES"):
        monkeypatch.setattr(f"cgnet_deploy.tuning.{name}", 1e-3)  # of cgnet-tune: as brief as BRIEF
    return tmp_path


def run_commands(block: Block) -> None:
    for program, *words in block.commands:
        if program in entry_points():
            brief = BRIEF.get(program, {}) if "--engine" in words or "--init" in words else {}
            if program == "cgnet-export" and "--int8" in words:  # whether int8 gains anything on frames of this size
                brief = {"--min-speedup": "0"}
            added = [word for flag, value in brief.items() if flag not in words for word in (flag, value)]
            assert main_of(program)([*words, *added]) == 0, block.text
        elif program == "python" and words[0] == "-m":
            with contextlib.suppress(SystemExit):
                run_module(words[1], words[2:])
        else:
            pytest.fail(f"no test can run {program!r}; say why in the block's mark:\n{block.text}")


def runs(block: Block) -> bool:
    return block.language in ("console", "python") and not block.mark


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, blocks(page)))], ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, folder: Path) -> None:
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in filter(runs, blocks(page)):
        if block.language == "console":
            run_commands(block)
        else:
            exec(compile(block.text, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(blocks(page)) == len(re.findall("^```", text, re.MULTILINE)) / 2, "a fence without a language"
    for block in blocks(page):
        assert not block.mark or block.mark in MARKS, block.mark
        if block.language == "console":
            assert block.commands, f"no prompt in {block.text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_flag_exists(page: Path) -> None:
    commands = [words for block in blocks(page) if block.language == "console" for words in block.commands]
    commands += [span.split() for span in spans(page) if re.match(r"(cgnet-\w+|python -m cgnet_deploy\.\S+) ", span)]
    for words in commands:
        command = words[2] if words[:2] == ["python", "-m"] else words[0]
        if command.startswith(("cgnet-", "cgnet_deploy.")):
            missing = {word.partition("=")[0] for word in words if FLAG.match(word)} - flags_of(command)
            assert not missing, f"{command} has no {missing}"


def test_every_flag_in_the_text_is_one_of_our_commands() -> None:
    text = [span for page in PAGES for span in spans(page) if not OTHER_PROGRAMS.match(span)]
    modules = {name for span in text for name in re.findall(r"python -m (cgnet_deploy\.[\w.]+)", span)}
    modules.add("cgnet_deploy.bench.tools.gpu")  # what `make gpu` runs
    known = {flag for command in (*entry_points(), *modules) for flag in flags_of(command)}
    program = (ROOT / "engines" / "cpp" / "example" / "options.cpp").read_text(encoding="utf-8")
    known |= set(FLAG.findall(program))
    assert {flag for span in text for flag in FLAG.findall(span)} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_module_and_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    code = [*spans(page), *(" ".join(words) for block in blocks(page) for words in block.commands)]
    for span in code:
        if re.fullmatch(r"(\.ci|bench|cgnet_deploy|docs|engines|export|tests)/[\w./*-]*", span) and "NAME" not in span:
            assert list(ROOT.glob(span.rstrip("/"))), f"{span} is not there"
        if found := re.match(r"make ([a-z]+)", span):
            assert found[1] in targets, span
        for name in re.findall(r"python -m (cgnet_deploy[\w.]*)", span):
            assert importlib.util.find_spec(name), name
        if found := re.fullmatch(r"cg\.(\w+)(\(.*\))?", span):
            assert hasattr(cgnet_deploy, found[1]), span


def slug(heading: str) -> str:
    """How GitHub names the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose(page)):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in map(slug, re.findall(r"^#+ (.+)$", prose(file), re.MULTILINE)), f"{target}#{anchor}"


def test_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT)})" in readme, page.name


def test_api_page_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in cgnet_deploy.__all__ if not re.search(rf"`(cg\.)?{name}\b|cg\.{name}\b", page)]
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_page_names_a_place_on_somebody_s_machine(page: Path) -> None:
    assert not re.search(r"/(work|root|home|tmp)/", page.read_text(encoding="utf-8"))


def test_the_bench_page_has_the_table_of_columns() -> None:
    page = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    written = page.partition("<!-- columns -->\n")[2].partition("<!-- /columns -->")[0]
    assert written == described()
