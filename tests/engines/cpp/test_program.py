"""cgnet_video as a user builds it: what it writes, from files of every kind that it reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from cgnet_deploy import __version__
from cgnet_deploy.artifact import Artifact, sidecar_path
from cgnet_deploy.bench.measure.opening import Open, open_for_timing
from cgnet_deploy.data.dataset import fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.pixels import U8, overlay
from cgnet_deploy.spec import Res
from cgnet_deploy.threads import cores
from cgnet_deploy.video.cli import main as video_main
from cgnet_deploy.video.paint import legend
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.videofile import video_file
from tests.engines.cpp.conftest import FRAMES, SOURCE, MakeVideo, Sanitized, cmake, read_video, run
from tests.engines.graphs import drawn_frames


def labels_of(path: Path, frames: U8) -> U8:
    with open_engine(f"openvino:{path}", threads=1) as engine:
        return np.concatenate([engine.infer(frame[None]) for frame in frames])


@pytest.mark.parametrize("network", ["frames_onnx", "tensor_onnx"])
def test_masks_and_overlay_are_those_of_python(
    network: str, program: Path, video: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine: Path = request.getfixturevalue(network)
    masks, out = tmp_path / "masks.u8", tmp_path / "overlay.avi"
    flags: list[str | Path] = [
        "--masks",
        masks,
        "--output",
        out,
        "--codec",
        "FFV1",
        "--overlay",
        "0.3",
        "--threads",
        "1",
    ]
    done = run(program, "--engine", engine, "--input", video, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9 frames of H=40 W=56 in ")
    labels = labels_of(engine, FRAMES)
    assert len(np.unique(labels)) > 2
    np.testing.assert_array_equal(np.fromfile(masks, np.uint8).reshape(labels.shape), labels)
    with open_engine(f"openvino:{engine}") as opened:
        expected = [overlay(*pair, opened.info.spec, 0.3) for pair in zip(FRAMES, labels, strict=True)]
        strip = legend(opened.info.spec, range(opened.info.spec.classes), 40, 56)
    pictures = read_video(out)
    np.testing.assert_array_equal(pictures[:, :40], np.stack(expected))
    assert pictures.shape[1] == 40 + len(strip)
    # Swatches are drawn alike by every OpenCV, letters are not.
    swatches = (strip[:, :, None, ::-1] == np.array(opened.info.spec.palette)).all(-1).any(-1)
    assert swatches.sum() > 100 * opened.info.spec.classes
    assert (pictures[0, 40:][swatches] == strip[swatches]).all()
    assert {path.name for path in tmp_path.iterdir()} == {"masks.u8", "overlay.avi"}


def test_a_file_of_the_cpu_engine_runs_by_it_unless_another_is_chosen(
    network_onnx: Path, program: Path, video: Path, tmp_path: Path
) -> None:
    masks: dict[str, U8] = {}
    for backend, chosen in (("native", ""), ("native", "native:"), ("openvino", "openvino:")):
        done = run(program, "--engine", f"{chosen}{network_onnx}", "--input", video, "--masks", tmp_path / "masks.u8")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"{backend} on CPU f32")
        masks[backend] = np.fromfile(tmp_path / "masks.u8", np.uint8)
    assert len(np.unique(masks["native"])) > 2
    assert (masks["native"] == masks["openvino"]).mean() > 0.999


def test_bf16_runs_or_is_refused_but_never_replaced(
    network_onnx: Path, program: Path, video: Path, tmp_path: Path
) -> None:
    done = run(program, "--engine", f"native-bf16:{network_onnx}", "--input", video, "--masks", tmp_path / "masks.u8")
    if done.returncode == 0:
        assert done.stderr.startswith("native on CPU bf16")
    else:
        assert done.returncode == 5
        assert "this CPU has no bf16" in done.stderr.splitlines()[-1]


def test_a_file_that_the_cpu_engine_does_not_run_is_refused_where_it_was_chosen(
    frames_onnx: Path, program: Path, video: Path, tmp_path: Path
) -> None:
    done = run(program, "--engine", f"native:{frames_onnx}", "--input", video, "--masks", tmp_path / "masks.u8")
    assert done.returncode == 2
    assert "native can't run " in done.stderr.splitlines()[-1]
    assert done.stderr.endswith("export it with cgnet-export --target native\n")


def test_a_video_of_another_size_is_resized_as_python_does(
    program: Path, fixed_onnx: Artifact, tmp_path: Path, make_video: MakeVideo
) -> None:
    frames = drawn_frames(3, 80, 112)  # twice: no pixel's centre lies between two others, where OpenCVs differ
    masks = tmp_path / "masks.u8"
    video = make_video("large.avi", frames)
    done = run(program, "--engine", fixed_onnx.path, "--input", video, "--masks", masks, "--limit", "2")
    assert done.returncode == 0, done.stderr
    small = labels_of(fixed_onnx.path, np.stack([fit_frame(frame, Res(40, 56)) for frame in frames[:2]]))
    expected = [cv2.resize(one, (112, 80), interpolation=cv2.INTER_NEAREST_EXACT) for one in small]
    np.testing.assert_array_equal(np.fromfile(masks, np.uint8).reshape(2, 80, 112), np.stack(expected))


def test_a_cut_video_gives_what_it_holds_and_fails(
    program: Path, frames_onnx: Path, video: Path, tmp_path: Path
) -> None:
    cut, masks = tmp_path / "cut.avi", tmp_path / "masks.u8"
    content = video.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    done = run(program, "--engine", frames_onnx, "--input", cut, "--masks", masks)
    assert done.returncode == 1
    assert "cut.avi is cut or damaged: " in done.stderr.splitlines()[-1]
    count = masks.stat().st_size // (40 * 56)
    assert 0 < count < len(FRAMES)
    labels = labels_of(frames_onnx, FRAMES[:count])
    np.testing.assert_array_equal(np.fromfile(masks, np.uint8).reshape(labels.shape), labels)


def test_a_rate_that_is_none_announces_no_frames(program: Path, frames_onnx: Path, tmp_path: Path) -> None:
    """OpenCV 4.6 takes a .ts of MPEG-4 for 90000 frames a second, and for 2700 times the frames that it has."""
    av = pytest.importorskip("av")
    with av.open(str(video := tmp_path / "a.ts"), "w", format="mpegts") as out:
        track = out.add_stream("mpeg4", rate=25)
        track.height, track.width, track.pix_fmt = 40, 56, "yuv420p"
        for frame in FRAMES:
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        out.mux(track.encode(None))
    done = run(program, "--engine", frames_onnx, "--input", video, "--masks", tmp_path / "masks.u8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9 frames of H=40 W=56 in ")


def test_an_onnx_file_without_its_sidecar_gives_the_same_bytes(
    program: Path, fixed_onnx: Artifact, tmp_path: Path, video: Path
) -> None:
    (moved := tmp_path / "elsewhere" / "other.onnx").parent.mkdir()
    shutil.copy(fixed_onnx.path, moved)
    given = []
    for engine in (fixed_onnx.path, moved):
        masks, out = engine.with_suffix(".u8"), engine.with_suffix(".avi")
        done = run(program, "--engine", engine, "--input", video, "--masks", masks, "--output", out, "--codec", "FFV1")
        assert done.returncode == 0, done.stderr
        given.append((masks.read_bytes(), read_video(out).tobytes()))
    assert given[0] == given[1]
    assert len(given[0][0]) == FRAMES[..., 0].size


def test_a_file_that_another_tool_rewrote_is_read_with_a_warning(
    program: Path, frames_onnx: Path, tmp_path: Path, video: Path
) -> None:
    wanted, masks, rewritten = (tmp_path / name for name in ("wanted.u8", "masks.u8", "rewritten.onnx"))
    assert run(program, "--engine", frames_onnx, "--input", video, "--masks", wanted).returncode == 0
    shutil.copy(sidecar_path(frames_onnx), sidecar_path(rewritten))
    file = onnx.load(frames_onnx)
    file.producer_name = "another tool"
    onnx.save(file, rewritten)
    done = run(program, "--engine", rewritten, "--input", video, "--masks", masks)
    assert done.returncode == 0, done.stderr
    assert "rewritten.onnx was changed after rewritten.onnx.json was written (sha256 differs)" in done.stderr
    assert masks.read_bytes() == wanted.read_bytes()


def test_the_guide_builds_and_runs(prefix: Path, fixed_onnx: Artifact, tmp_path: Path, video: Path) -> None:
    guide = (SOURCE.parents[1] / "docs" / "cpp.md").read_text(encoding="utf-8")
    code, package = (re.findall(f"```{kind}\n(.*?)```", guide, re.DOTALL)[0] for kind in ("cpp", "cmake"))
    for path in (fixed_onnx.path, sidecar_path(fixed_onnx.path)):
        shutil.copy(path, tmp_path / path.name.replace("tiny", "cgnet"))
    shutil.copy(video, tmp_path / "drive.avi")
    (tmp_path / "pipeline.cpp").write_text(code)
    find, link = package.splitlines()
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(pipeline LANGUAGES CXX)\n{find}\n"
        f"add_executable(pipeline pipeline.cpp)\n{link}\n"
        "target_include_directories(pipeline SYSTEM PRIVATE /usr/include/opencv4)\n"
        "target_link_libraries(pipeline PRIVATE opencv_core opencv_videoio)\n"
    )
    cmake(tmp_path, tmp_path / "build", f"CMAKE_PREFIX_PATH={prefix}")
    done = subprocess.run([tmp_path / "build" / "pipeline"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_video(tmp_path / "overlay.avi").shape == FRAMES.shape


def test_versions_agree() -> None:
    assert f"project(cgnet VERSION {__version__} " in (SOURCE / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_program_is_clean_under_sanitizers(
    sanitized: Sanitized, frames_onnx: Path, video: Path, tmp_path: Path
) -> None:
    masks, out = tmp_path / "masks.u8", tmp_path / "overlay.avi"
    flags: list[str | Path] = ["--engine", frames_onnx, "--input", video, "--masks", masks, "--output", out]
    flags += ["--threads", "1"]
    done = sanitized.run(sanitized.program, *flags)
    assert done.returncode == 0, done.stderr
    labels = labels_of(frames_onnx, FRAMES)
    np.testing.assert_array_equal(np.fromfile(masks, np.uint8).reshape(labels.shape), labels)


@pytest.mark.shared
def test_the_masks_of_camvid_s_val_are_equal_every_way(
    shared: Path, program: Path, tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One f32 file: cgnet_video, cgnet-video, Segmenter, and the engine of cgnet-bench; of mp4 the first two.

    Of every tenth frame: all of them took two minutes, and said no more.
    """
    monkeypatch.chdir(tmp_path)
    checkpoint = str(shared / "checkpoints" / "cgnet_camvid_official.pth")
    flags = ["--ckpt", checkpoint, "--target", "openvino", "--prune-dead", "--no-engine", "--onnx", "cgnet.onnx"]
    assert export_main(flags) == 0
    dataset = open_dataset(str(shared / "camvid"), "val")
    frames = np.stack([dataset.frame(i) for i in range(0, len(dataset), 10)])
    with video_file(Path("val.mp4"), 25.0, None) as write:  # H.264, which changes the frames
        for index, frame in enumerate(frames):
            write(frame, index, index / 25)

    def both(video: Path) -> U8:
        """The labels that both programs give."""
        done = run(program, "--engine", "cgnet.onnx", "--input", video, "--masks", "masks.u8")
        assert done.returncode == 0, done.stderr
        found = np.fromfile("masks.u8", np.uint8).reshape(frames.shape[:3])
        assert video_main(["--engine", "openvino:cgnet.onnx", "--input", str(video), "--masks", video.stem]) == 0
        for index, mine in enumerate(found):
            np.testing.assert_array_equal(cv2.imread(f"{video.stem}/{index:06d}.png", cv2.IMREAD_UNCHANGED), mine)
        return found

    labels = both(make_video("whole.avi", frames))
    assert not np.array_equal(both(Path("val.mp4")), labels)
    with Segmenter("openvino:cgnet.onnx") as segmenter:
        for index, streamed in enumerate(segmenter.stream(frames)):
            np.testing.assert_array_equal(streamed.labels, labels[index])
    asked = Open("openvino:cgnet.onnx", None, None, cores())
    with open_for_timing(asked).engine as engine:
        for frame, mine in zip(frames, labels, strict=True):
            np.testing.assert_array_equal(engine.infer(frame[None])[0], mine)
