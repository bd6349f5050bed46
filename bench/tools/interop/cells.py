"""A consumer's own environment, and each file in it, in a process of its own: consumers crash."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cgnet_deploy.bench.tools.interop.consumers import SNIPPETS, Consumer
from cgnet_deploy.bench.tools.interop.files import File, Output, share
from cgnet_deploy.errors import CgnetError, last_line

log = logging.getLogger(__name__)

Ran = tuple[subprocess.CompletedProcess[str], list[Output]]  # the program, and what it made of each batch

MAX_CELL_S = 600
NAMED = (  # lines that name an error, the best first: OpenCV's second one, an exception's last one, any other
    re.compile(r"^> Node "),
    re.compile(r"^[\w.]*(Error|Exception|error): "),
    re.compile(r"rror"),
)
PLACE = re.compile(r"(/[\w.@+=<-]+)+/")  # a folder of this machine
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "NO_COLOR": "1"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One file in one consumer: the share of equal labels, 0 to 1, or the consumer's own words.

    frames: how many it was tried with. sha256: of the file.
    """

    consumer: str
    kind: str
    io: str
    equal: float | None
    words: str = ""
    frames: int = 0
    sha256: str = ""
    seconds: float = field(default=0.0, compare=False)


def environment(consumer: Consumer, folder: Path) -> Path:
    """The folder of its environment, made if it isn't there. Raises CgnetError with the installer's words."""
    place = folder / "-".join(consumer.packages).replace("/", "-")[:100]
    if (place / "ready").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    if consumer.source == "apt":
        commands = [["/usr/bin/python3", "-c", "import cv2"]]
    elif consumer.source == "npm":
        commands = [["npm", "install", "--prefix", str(place), *consumer.packages]]
    else:
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile", *consumer.packages]
        commands = [[sys.executable, "-m", "venv", str(place)], pip]
    for command in commands:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if ran.returncode:
            raise CgnetError(f"{consumer.install}: {last_line(ran.stderr)}")
    (place / "ready").touch()
    return place


def cell(consumer: Consumer, file: File, place: Path) -> Cell:
    """What a consumer makes of a copy of the file: some rewrite what they read."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cgnet-interop-") as name:
        folder = Path(name)
        model = folder / "cgnet.onnx"
        shutil.copy(file.path, model)
        program = _node if consumer.source == "npm" else _python
        try:
            ran, outputs = program(consumer, file, model, place)
            equal, words = (share(file.labels, outputs), "") if outputs else (None, last_words(ran))
        except subprocess.TimeoutExpired:
            equal, words = None, f"no answer within {MAX_CELL_S} s"
        except ValueError as error:
            equal, words = None, f"gives another shape: {error}"
    seconds = round(time.monotonic() - begun, 1)
    log.info(f"{consumer.title}, {file.kind.name}, {file.io}: {equal if words == '' else words} ({seconds} s)")
    return Cell(consumer.key, file.kind.name, file.io, equal, words, file.frames, file.sha256, seconds)


def _python(consumer: Consumer, file: File, model: Path, place: Path) -> Ran:
    folder = model.parent
    np.savez(folder / "batches.npz", *file.batches)
    python = "/usr/bin/python3" if consumer.source == "apt" else str(place / "bin/python")
    worker, snippet = Path(__file__).with_name("worker.py"), SNIPPETS / consumer.snippet
    command = [python, str(worker), str(snippet), str(model), "batches.npz", "result.npz"]
    ran = _ran(command, folder, {"PATH": f"{place / 'bin'}:{os.environ['PATH']}"})
    result = folder / "result.npz"
    return ran, list(np.load(result).values()) if ran.returncode == 0 and result.exists() else []


def _node(consumer: Consumer, file: File, model: Path, place: Path) -> Ran:
    folder = model.parent
    batches = [
        {"name": f"{i:03}", "type": batch.dtype.name, "dims": batch.shape} for i, batch in enumerate(file.batches)
    ]
    (folder / "batches.json").write_text(json.dumps(batches))
    for entry, batch in zip(batches, file.batches, strict=True):
        (folder / f"{entry['name']}.in").write_bytes(batch.tobytes())
    here = [shutil.copy(path, place) for path in (Path(__file__).with_name("worker.mjs"), SNIPPETS / consumer.snippet)]
    ran = _ran(["node", *map(str, here), str(model), str(folder)], folder, {})
    if ran.returncode or not (folder / "results.json").exists():
        return ran, []
    return ran, [
        np.fromfile(folder / f"{one['name']}.out", one["type"]).reshape(one["dims"])
        for one in json.loads((folder / "results.json").read_text())
    ]


def _ran(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **QUIET, **variables},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=MAX_CELL_S,
    )


def last_words(ran: subprocess.CompletedProcess[str]) -> str:
    """Why a consumer failed: the signal that killed it, and the line that names an error."""
    lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    named = next(filter(None, ([line for line in lines if of.search(line)] for of in NAMED)), [])
    words = PLACE.sub("", last_line((named or lines or [""])[-1]))
    if ran.returncode < 0:
        return f"killed by signal {-ran.returncode}{f': {words}' if named else ''}"
    return words
