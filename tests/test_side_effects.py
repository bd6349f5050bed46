"""What a run leaves behind: what it was asked for, and nothing in the user's folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.graphs import written
from tests.video.clips import H, W, clip, drawn

RUN = "from {} import main; raise SystemExit(main())"
VIDEO = ("cgnet_deploy.video.cli", "--input", "in.avi", "--masks", "masks", "--json", "a.json", "--engine")
BENCH = ("cgnet_deploy.bench.cli", "--duration", "0.01", "--warmup", "0", "--json", "a.json", "--engine")


REPORT = ("cgnet_deploy.bench.cli", "--duration", "0.01", "--warmup", "0", "--report", "a.html", "--engine")


# A user whom the system doesn't know, as of `docker run --user`; a home that the system says an error of.
NOBODY = "import pwd; pwd.getpwuid = {}.__getitem__; "
FONTS = "from cgnet_deploy.errors import require; require('matplotlib.figure', extra='train')"


COLD = (VIDEO[0], "--no-cache", *VIDEO[1:])
KEEPING = (BENCH[0], "--cache", *BENCH[1:])


@pytest.mark.parametrize(
    ("command", "backend", "kept"),
    [
        (VIDEO, "ort", "onnxruntime"),
        (VIDEO, "openvino", "openvino"),
        (COLD, "ort", None),
        (COLD, "openvino", None),
        (BENCH, "ort", None),
        (BENCH, "openvino", None),
        (KEEPING, "openvino", "openvino"),
        (REPORT, "ort", None),
    ],
    ids=[
        *("video-ort", "video-openvino", "cold-video-ort", "cold-video-openvino"),
        *("bench-ort", "bench-openvino", "bench-cache", "report"),
    ],
)
def test_a_run_touches_only_its_outputs_and_its_cache(
    command: tuple[str, ...], backend: str, kept: str | None, tmp_path: Path
) -> None:
    """kept: the folder of the cache that it leaves something in."""
    home, temporary, work = (tmp_path / name for name in ("home", "tmp", "work"))
    for folder in (home, temporary, work):
        folder.mkdir()
    written(work / "tiny.onnx", "frames", (1, H, W))
    clip(work / "in.avi", drawn(3))
    (home / ".profile").touch()
    before = {path.name for path in work.iterdir()}
    free = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_", "MPL"))}
    subprocess.run(
        [sys.executable, "-c", RUN.format(command[0]), *command[1:], f"{backend}:tiny.onnx"],
        cwd=work,
        env=free | {"HOME": str(home), "TMPDIR": str(temporary)},
        check=True,
        capture_output=True,
    )
    left = {path.relative_to(home) for path in home.rglob("*") if path.is_file()} - {Path(".profile")}
    assert {path.parent for path in left} == ({Path(".cache/cgnet-deploy", kept)} if kept else set())
    assert kept or [*home.iterdir()] == [home / ".profile"]
    assert [*temporary.iterdir()] == []
    assert {path.name for path in work.iterdir()} - before <= {"masks", "a.json", "a.html"}


@pytest.mark.parametrize(("home", "user"), [({}, NOBODY), ({"HOME": "/" + 300 * "x"}, "")], ids=["none", "unreadable"])
def test_charts_need_no_home(home: dict[str, str], user: str, tmp_path: Path) -> None:
    free = {
        name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith(("XDG_", "MPL"))
    }
    run = subprocess.run(
        [sys.executable, "-c", user + FONTS],
        env=free | home | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr  # where building takes 5 s, Matplotlib says so
    assert [*tmp_path.iterdir()] == []
