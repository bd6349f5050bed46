"""cgnet-label by Ray on this machine: the masks are the Segmenter's, and no kill loses or repeats any."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow.parquet as parquet
import pytest
import ray
from PIL import Image

import cgnet_deploy as cg
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.label import api
from cgnet_deploy.label.archive import Item
from cgnet_deploy.label.cli import main
from cgnet_deploy.pixels import U8
from tests.checkpoint.mmseg import mmseg_file
from tests.children import interruptible
from tests.networks import drawn

WEIGHTS = Path(__file__).resolve().parents[2] / "cgnet_deploy" / "weights"
PICTURES = 40
FRAMES = 6


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "cgnet.onnx"
    cg.export(WEIGHTS / "scenes.pth", path, res="240x320")
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two sizes in two folders, two videos, a picture that is cut, and a text file."""
    folder = tmp_path_factory.mktemp("archive")
    scenes = open_dataset("scenes:3:120x160", "val")
    (folder / "night").mkdir()
    for i in range(PICTURES):
        frame = scenes.frame(i)
        cv2.imwrite(str(folder / ("night" if i % 2 else "") / f"{i:03d}.png"), frame if i % 3 else frame[:, :100])
    for name in ("drive.mp4", "night/drive.mp4"):
        video = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (160, 120))
        for i in range(FRAMES):
            video.write(scenes.frame(i))
        video.release()
    (folder / "cut.png").write_bytes((folder / "000.png").read_bytes()[:-200])
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture(scope="module")
def expected(engine: Path, archive: Path) -> dict[str, U8]:
    """The masks of a Segmenter in a loop, by name."""
    masks = {}
    with cg.Segmenter(str(engine), threads=1) as segmenter:
        for path in sorted(archive.rglob("*.png")):
            if path.name != "cut.png":
                frame = np.asarray(cv2.imread(str(path)), np.uint8)
                masks[f"{path.relative_to(archive)}.png"] = segmenter.segment(frame)
        for path in archive.rglob("*.mp4"):
            video = cv2.VideoCapture(str(path))
            for i in range(FRAMES):
                frame = np.asarray(video.read()[1], np.uint8)
                masks[f"{path.relative_to(archive)}/{i:06d}.png"] = segmenter.segment(frame)
    return masks


def arguments(engine: Path, archive: Path, output: Path) -> list[str]:
    return ["--input", str(archive), "--output", str(output), "--engine", str(engine), "--workers", "2", "--batch", "2"]


def check(output: Path, archive: Path, expected: dict[str, U8]) -> None:
    """Every mask is there, once, complete, and equal; the index says the same."""
    files = {str(path.relative_to(output / "masks")) for path in (output / "masks").rglob("*") if path.is_file()}
    assert files == set(expected)
    for name, labels in expected.items():
        with Image.open(output / "masks" / name) as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), labels), name
    rows = parquet.read_table(output / "index.parquet").to_pylist()
    masks = [row["mask"] for row in rows if row["mask"]]
    assert sorted(masks) == sorted(f"masks/{name}" for name in expected)
    (failed,) = (row for row in rows if row["mask"] is None)
    assert (failed["path"], "cut or damaged" in failed["error"]) == (str(archive / "cut.png"), True)


def test_masks_are_the_segmenters(
    engine: Path, archive: Path, expected: dict[str, U8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "labelled"
    assert main(arguments(engine, archive, output)) == 0
    assert capsys.readouterr().out.startswith(
        f"{output}  {PICTURES + 3} pictures and videos; {len(expected)} masks, 1 not readable"
    )
    check(output, archive, expected)
    classes = json.loads((output / "classes.json").read_text())["classes"]
    with Image.open(output / "masks" / "000.png.png") as mask:
        palette = mask.getpalette() or []
    assert [one["colour"] for one in classes] == [palette[i : i + 3] for i in range(0, 33, 3)]
    row = parquet.read_table(output / "index.parquet").to_pylist()[0]
    assert sum(row[f"share.{one['name']}"] for one in classes) == pytest.approx(1)

    assert main(arguments(engine, archive, output)) == 0  # nothing is left to do, and Ray isn't started for it
    assert f"{PICTURES + 3} of them done earlier" in capsys.readouterr().out
    check(output, archive, expected)


def test_a_video_is_a_batch_of_its_own_and_comes_before_the_pictures() -> None:
    items = [Item(f"{i}", f"{i}", "video" if i == 2 else "picture") for i in range(6)]
    assert [[item.name for item in batch] for batch in api._batches(items, 2)] == [["2"], ["0", "1"], ["3", "4"], ["5"]]


def test_what_cannot_be_written_is_named(
    engine: Path, archive: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "labelled"
    (output / "masks" / "000.png.png").mkdir(parents=True)
    assert main(arguments(engine, archive, output)) == 1
    assert "000.png.png can't be written: Is a directory" in capfd.readouterr().err.splitlines()[-1]


@pytest.fixture
def started(engine: Path, archive: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work: some batches are done, most are not."""
    command = [sys.executable, "-m", "cgnet_deploy.label.cli", *arguments(engine, archive, tmp_path / "labelled")]
    with interruptible():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 100
        while not list((tmp_path / "labelled").glob(".parts/*.parquet")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_worker_that_is_killed_is_replaced(
    started: subprocess.Popen[str], archive: Path, expected: dict[str, U8], tmp_path: Path
) -> None:
    workers = [one for one in psutil.Process(started.pid).children(recursive=True) if "MapWorker" in one.name()]
    assert workers
    os.kill(workers[0].pid, signal.SIGKILL)
    _, err = started.communicate(timeout=110)
    assert started.returncode == 0, err
    check(tmp_path / "labelled", archive, expected)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@interruptible()
def test_a_signal_ends_it_and_ray(number: int, code: int, started: subprocess.Popen[str]) -> None:
    children = psutil.Process(started.pid).children(recursive=True)
    started.send_signal(number)
    _, err = started.communicate(timeout=110)
    assert started.returncode == code, err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


@pytest.mark.parametrize("code", [15, 3, "failed"])
def test_only_ray_s_exit_by_sigterm_is_another_one(code: int | str) -> None:
    before = signal.getsignal(signal.SIGTERM)

    @api._terminated()
    def ended() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray sets one while it starts
        sys.exit(code)

    with pytest.raises(SystemExit) as end:
        ended()
    assert end.value.code == (143 if code == 15 else code)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_is_killed_goes_on(
    started: subprocess.Popen[str],
    engine: Path,
    archive: Path,
    expected: dict[str, U8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started.kill()
    started.wait()
    output = tmp_path / "labelled"
    (output / "masks" / ".000.png.png.abc.tmp").write_bytes(b"half")  # what a kill inside a write leaves
    assert main(arguments(engine, archive, output)) == 0
    earlier = re.search(r"(\d+) of them done earlier", capsys.readouterr().out)
    assert earlier is not None
    assert int(earlier[1]) < PICTURES
    check(output, archive, expected)


def test_ray_datas_map_batches_takes_the_segmenter_itself(engine: Path, archive: Path, expected: dict[str, U8]) -> None:
    with cg.Segmenter(str(engine), threads=1) as segmenter:
        pictures = [np.asarray(cv2.imread(str(archive / name)), np.uint8)[..., ::-1] for name in ("002.png", "004.png")]
        batch = segmenter({"image": np.stack(pictures), "path": np.array(["a", "b"])})
    assert list(batch) == ["image", "path", "labels"]
    for labels, name in zip(batch["labels"], ("002.png", "004.png"), strict=True):
        assert np.array_equal(labels, expected[f"{name}.png"])


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (["--engine", "none.onnx"], 2, "none.onnx does not exist"),
        (["--input", "nothing*"], 2, "nothing* holds no picture and no video"),
        (["--ray", "127.0.0.1:9"], 5, "no Ray cluster at 127.0.0.1:9"),
        (["--threads", "0"], 2, "--threads"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    change: list[str],
    code: int,
    message: str,
    engine: Path,
    archive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["-q", *arguments(engine, archive, tmp_path / "out"), *change]) == code
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "raised",
    [
        Exception("The current node timed out during startup.\nThis could be since the machine is slow"),
        RuntimeError("Failed to start GCS.\nLast lines of its log: ..."),
        ConnectionError("ray client connection timeout"),
        FileNotFoundError(2, "No such file or directory", "/tmp/ray"),
    ],
)
def test_a_ray_that_does_not_start_is_one_line(
    raised: Exception,
    engine: Path,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Such are what Ray raises, by its kind and its lines."""

    def init(**options: object) -> None:
        assert options["address"] == "local"
        raise raised

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    assert main(["-q", *arguments(engine, archive, tmp_path / "out")]) == 5
    assert capsys.readouterr().err.splitlines()[1:] == [  # after what the archive holds beside pictures
        f"cgnet-label: error: no Ray cluster at this machine: {str(raised).splitlines()[0]}"
    ]


def test_masks_of_another_engine_are_not_mixed_in(
    engine: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.json").write_text('{"schema": 1, "engine_sha256": "abc"}')
    assert main(arguments(engine, archive, tmp_path)) == 2
    assert "holds masks of another engine or of other settings: engine_sha256 is abc" in capsys.readouterr().err


def test_what_a_file_does_not_say_can_be_said(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and contract of a checkpoint: they reach the workers, and masks under other ones are not mixed."""
    picture = tmp_path / "one" / "000.png"
    picture.parent.mkdir()
    picture.write_bytes((archive / "000.png").read_bytes())
    names, engine = tmp_path / "names.txt", tmp_path / "theirs.pth"
    names.write_text("\n".join(f"thing {i} {i},0,9" for i in range(5)))
    engine.write_bytes(mmseg_file(drawn(5, bias=True), {}))
    said = ["--res", "64x96", "--names", str(names), "--mean", "1,2,3", "--std", "4,5,6", "--color", "rgb"]
    given = ["--input", str(picture.parent), "--output", str(tmp_path / "out"), "--engine", str(engine)]
    assert main([*given, *said]) == 0
    table = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert table["classes"][3] == {"label": 3, "name": "thing 3", "colour": [3, 0, 9]}
    assert table["input"]["std"] == [4, 5, 6]
    with (
        cg.Segmenter(engine, res="64x96", names=names, mean=(1, 2, 3), std=(4, 5, 6), color="rgb") as segmenter,
        Image.open(tmp_path / "out" / "masks" / "000.png.png") as mask,
    ):
        assert np.array_equal(np.asarray(mask), segmenter.segment(np.asarray(cv2.imread(str(picture)), np.uint8)))
    assert main([*given, *said[:-1], "bgr"]) == 2
    assert "of other settings: input is" in capsys.readouterr().err
