"""`cgnet-video` as it is typed: what it writes, how it ends, and that its masks are the engine's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.pixels import U8, overlay
from cgnet_deploy.video.api import default_engines
from cgnet_deploy.video.cli import main
from cgnet_deploy.video.segmenter import Segmenter
from tests.children import interruptible
from tests.engines.graphs import CLASSES, SPEC, logits_of, network, written
from tests.video.clips import H, W, clip, drawn, frames_of

av = pytest.importorskip("av")

COMMAND = [sys.executable, "-m", "cgnet_deploy.video.cli"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an engine and a lossless video of its size."""
    written(tmp_path / "tiny.onnx", "frames", (1, H, W))
    clip(tmp_path / "in.avi", drawn(12))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def video(*flags: str, source: str = "in.avi") -> int:
    return main(["--engine", "tiny.onnx", "--input", source, "--threads", "1", *flags])


def masks(folder: Path) -> list[U8]:
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in sorted(folder.iterdir())]


def test_masks_are_the_engine_s_on_every_pixel(folder: Path) -> None:
    assert video("--masks", "masks") == 0
    frames = np.stack(drawn(12))
    with open_engine("tiny.onnx") as engine:
        np.testing.assert_array_equal(masks(folder / "masks"), [engine.infer(frame[None])[0] for frame in frames])
    np.testing.assert_array_equal(masks(folder / "masks"), logits_of(frames).argmax(1))
    assert sorted(path.name for path in (folder / "masks").iterdir())[::11] == ["000000.png", "000011.png"]


def test_what_a_damaged_file_lacks_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = clip(folder / "a.mp4", drawn(60), codec="mpeg4", format="mp4")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) * 6 // 10] = bytes(len(content) * 6 // 10 - len(content) // 2)
    path.write_bytes(content)
    assert video("--masks", "masks", "--json", "a.json", source="a.mp4") == 0
    missing = 60 - len(masks(folder / "masks"))
    result = json.loads((folder / "a.json").read_text())
    assert (result["missing"], result["complete"]) == (missing, False)
    lacking = f"{missing} missing by their time stamps, {result['damaged']} damaged"
    assert f", {lacking}: the input is damaged" in capsys.readouterr().out
    assert video("--masks", "masks", "--strict", source="a.mp4") == 1
    assert f"a.mp4 is damaged: of its frames {lacking}" in capsys.readouterr().err


def test_an_onnx_file_without_its_sidecar_gives_the_same_bytes(folder: Path) -> None:
    for name in ("here", "elsewhere"):
        (folder / name).mkdir()
    (folder / "elsewhere" / "other.onnx").write_bytes((folder / "tiny.onnx").read_bytes())
    for name, engine in (("here", "tiny.onnx"), ("elsewhere", "elsewhere/other.onnx")):
        flags = ["--masks", f"{name}/masks", "--output", f"{name}/out.mp4"]
        assert main(["--engine", engine, "--input", "in.avi", "--threads", "1", *flags]) == 0
    np.testing.assert_array_equal(masks(folder / "here" / "masks"), masks(folder / "elsewhere" / "masks"))
    np.testing.assert_array_equal(frames_of(folder / "here/out.mp4"), frames_of(folder / "elsewhere/out.mp4"))
    with Segmenter("tiny.onnx") as one, Segmenter("elsewhere/other.onnx") as other:
        assert one.info == other.info
        np.testing.assert_array_equal(one.segment(drawn(1)[0]), other.segment(drawn(1)[0]))


def test_a_file_of_another_exporter_is_shown_with_the_names_that_are_said(folder: Path) -> None:
    (folder / "theirs.onnx").write_bytes(network("tensor", (1, H, W)).SerializeToString())
    (folder / "names.txt").write_text("".join(f"class {label} 9,9,{label}\n" for label in range(CLASSES)))
    mean, std = (",".join(map(str, values)) for values in (SPEC.input.mean, SPEC.input.std))
    said = ["--names", "names.txt", "--mean", mean, "--std", std, "--color", SPEC.input.color]
    words = ["--engine", "theirs.onnx", "--input", "in.avi", "--output", "out", "--overlay", "1", "--no-legend"]
    assert main([*words, *said, "--limit", "2", "--threads", "1"]) == 0
    labels = logits_of(np.stack(drawn(2))).argmax(1)
    np.testing.assert_array_equal(np.stack(masks(folder / "out"))[..., 0], labels)  # blue, in OpenCV's order


def test_masks_have_the_size_of_their_frames(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for number, (height, width) in enumerate([(H, W), (91, 133)]):
        cv2.imwrite(f"pictures/{number}.png", drawn(1, height, width)[0])
    assert video("--masks", "masks", source="pictures") == 0
    assert [mask.shape for mask in masks(folder / "masks")] == [(H, W), (91, 133)]


def test_overlays_as_pictures(folder: Path) -> None:
    assert video("--output", "out", "--overlay", "0.25", "--no-legend") == 0
    for shown, frame in zip(masks(folder / "out"), drawn(12), strict=True):
        np.testing.assert_array_equal(
            shown, overlay(frame, logits_of(frame[None]).argmax(1)[0].astype(np.uint8), SPEC, 0.25)
        )


def test_overlays_as_a_video_with_its_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip(folder / "in.mp4", drawn(50), codec="libx264", format="mp4", sound="aac")
    assert video("--output", "out.mp4", "--json", "result.json", source="in.mp4") == 0
    assert len(frames_of(folder / "out.mp4")) == 50
    with av.open("out.mp4") as opened:
        assert [stream.codec_context.name for stream in opened.streams] == ["h264", "aac"]
    first, engine, age = capsys.readouterr().out.splitlines()
    assert first.startswith("50 frames in ")
    assert engine.startswith("engine, ms: mean ")
    assert age.startswith("frame to labels, ms: mean ")
    result = json.loads((folder / "result.json").read_text())
    assert (result["frames"], result["dropped"], result["complete"], result["backend"]) == (50, 0, True, "onnxruntime")
    assert result["fps"] == pytest.approx(50 / result["seconds"])
    assert result["engine_ms"]["p99"] is None  # 50 samples are too few for it
    assert result["frame_to_labels_ms"]["min"] >= result["engine_ms"]["min"] > 0


def test_another_frame_rate_leaves_the_sound_out(folder: Path) -> None:
    clip(folder / "in.mp4", drawn(10), codec="libx264", format="mp4", sound="aac")
    assert video("--output", "out.mp4", "--fps", "5", source="in.mp4") == 0
    with av.open("out.mp4") as opened:
        assert [stream.type for stream in opened.streams] == ["video"]
        assert [frame.time for frame in opened.decode(video=0)] == pytest.approx([i / 5 for i in range(10)])


def test_a_video_that_changes_its_size_is_written_in_its_first(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for number, (height, width) in enumerate([(H, W), (91, 133), (H, W)]):
        cv2.imwrite(f"pictures/{number}.png", drawn(1, height, width)[0])
    assert video("--output", "out.mp4", "--no-legend", source="pictures") == 0
    assert [frame.shape for frame in frames_of(folder / "out.mp4")] == [(H, W, 3)] * 3


def test_a_limit_ends_the_run(folder: Path) -> None:
    assert video("--masks", "masks", "--limit", "5") == 0
    assert len(masks(folder / "masks")) == 5


def test_a_cut_video_ends_with_code_1_and_what_could_be_read(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = clip(folder / "cut.avi", drawn(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert video("--output", "out.mp4", "--json", "result.json", source="cut.avi") == 1
    captured = capfd.readouterr()
    count = len(frames_of(folder / "out.mp4"))
    assert 10 <= count < 30
    assert captured.out.startswith(f"{count} frames in ")
    (line,) = (line for line in captured.err.splitlines() if "error" in line)
    assert line == f"cgnet-video: error: cut.avi is cut or damaged: {count} frames could be read, it announces 40"
    assert json.loads((folder / "result.json").read_text())["complete"] is False


def test_a_file_played_live_loses_frames_and_counts_them(folder: Path) -> None:
    clip(folder / "in.mp4", drawn(10), codec="libx264", format="mp4")
    assert video("--masks", "masks", "--live", "--fps", "1000", "--json", "result.json", source="in.mp4") == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["frames"] + result["dropped"] == 10
    assert len(masks(folder / "masks")) == result["frames"]


@interruptible()
def test_an_interrupt_leaves_a_video_that_plays(folder: Path) -> None:
    clip(folder / "long.mp4", drawn(400), codec="libx264", format="mp4", sound="aac")
    flags = ["--engine", "tiny.onnx", "--input", "long.mp4", "--output", "out.mp4", "--masks", "masks", "--live"]
    with subprocess.Popen([*COMMAND, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(list(folder.glob("masks/*.png"))) < 4 and process.poll() is None:
            pass  # it plays for 16 s: there is time
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped by SIGINT: the frames so far are written" in said
    count = len(frames_of(folder / "out.mp4"))
    assert 3 <= count < 400
    assert out.startswith(f"{count} frames in ")
    with av.open("out.mp4") as opened:
        assert [stream.type for stream in opened.streams] == ["video", "audio"]
    assert not list(folder.glob(".out.mp4*"))


BAD = [
    ([], "nothing to do: give --output, --masks or both"),
    (["--output", "out.txt"], "--output out.txt: wanted a video (.mp4, .m4v, .mov, .mkv, .avi), a folder or window"),
    (["--output", "in.avi"], "in.avi is the input"),
    (["--output", "missing/out.mp4"], "can't be written"),
    (["--masks", "in.avi"], "in.avi can't be created: in.avi is no folder"),
    (["--output", "\udcff.mp4"], "its name is not UTF-8"),
    (["--masks", "-"], "- is stdout; wanted a folder"),
    (["--output", "-"], "- is stdout; wanted a folder"),
    (["--output", "out", "--classes", "Tram"], "--classes Tram: no such class"),
    (["--output", "out", "--overlay", "2"], "must be a number between 0 and 1, not '2'"),
    (["--output", "out", "--engine", "no.onnx"], "no.onnx does not exist"),
    (["--output", "out", "--input", "no.mp4"], "no.mp4 does not exist"),
    (["--output", "out", "--input", "tiny.onnx"], "tiny.onnx is not a video that can be read"),
    (["--outptu", "out"], "did you mean --output?"),
]


@pytest.mark.parametrize(("flags", "words"), BAD, ids=[" ".join(flags) or "nothing" for flags, _ in BAD])
def test_bad_usage_is_one_line(flags: list[str], words: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    assert video(*flags) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("cgnet-video: error: ")
    assert words in line
    assert sorted(folder.iterdir()) == before


def test_a_window_without_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert video("--output", "window") == 2
    assert "there is no screen here" in capsys.readouterr().err


def test_a_window_ends_the_run_when_q_is_pressed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[U8] = []
    monkeypatch.setitem(os.environ, "DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda ms: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda title, which: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    assert video("--output", "window") == 0
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("ref", "threads", "live", "engines"),
    [
        ("a.onnx", 8, False, 2),
        ("openvino:a.onnx", 2, False, 2),
        ("a.onnx", 8, True, 1),
        ("a.onnx", 1, False, 1),
        ("a.plan", 8, False, 1),
        ("ort-cuda:a.onnx", 8, False, 1),
    ],
)
def test_a_file_on_a_cpu_has_two_engines(ref: str, threads: int, live: bool, engines: int) -> None:
    assert default_engines(ref, threads, live=live) == engines


def test_masks_of_several_engines_are_those_of_one(folder: Path) -> None:
    for engines in ("1", "3"):
        assert video("--masks", engines, "--engines", engines) == 0
    for one, other in zip(masks(folder / "1"), masks(folder / "3"), strict=True):
        np.testing.assert_array_equal(one, other)
