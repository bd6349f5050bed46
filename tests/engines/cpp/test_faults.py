"""cgnet_video and what goes wrong around it: the source, the disk, the user's patience, a slow writer."""

from __future__ import annotations

import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from tests.children import interruptible
from tests.engines.cpp.conftest import FRAMES, MakeVideo, read_video
from tests.engines.graphs import FIXED, drawn_frames, written
from tests.video.clips import clip, decoded, drawn, zeroed


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("onnx") / "tiny.onnx", "frames", FIXED).path


def command(program: Path, engine: Path, video: Path, *flags: str | Path) -> list[str]:
    return [str(part) for part in (program, "--engine", engine, "--input", video, "--threads", "2", *flags)]


def run(*words: str | Path, most_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """most_bytes: of any file; a write beyond it fails as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes or 0, most_bytes or 0))

    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        restore_signals=False,
        preexec_fn=limit if most_bytes else None,
    )


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of the error, after the line that names the engine, if it was opened."""
    *before, line = done.stderr.splitlines()
    assert [one for one in before if not one.startswith("openvino on ")] == [], done.stderr
    return line


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.mkv", "is not a video that OpenCV can read"),
        ("cut.mp4", "is not a video that OpenCV can read"),  # its index is at its end
        ("list.m3u8", "is not a video that OpenCV can read"),
        ("empty.avi", "is not a video that OpenCV can read"),
    ],
)
def test_a_source_without_frames_is_refused(name: str, says: str, program: Path, engine: Path, tmp_path: Path) -> None:
    video, out = tmp_path / name, tmp_path / "out"
    out.mkdir()
    if name == "none.mkv":
        clip(video, [], codec="libx264", format="matroska")
    elif name == "cut.mp4":
        content = clip(video, drawn(40), codec="libx264", format="mp4").read_bytes()
        video.write_bytes(content[: len(content) // 2])
    elif name == "list.m3u8":
        clip(tmp_path / "a.ts", drawn(9), codec="libx264", format="mpegts")
        video.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    else:
        video.write_bytes(b"")
    done = run(*command(program, engine, video, "--output", out / "o.avi", "--masks", out / "m.u8"))
    assert done.returncode == 2, done.stderr
    assert f"{name} " in error_of(done)
    assert says in error_of(done)
    assert list(out.iterdir()) == []


def test_frames_behind_damage_are_read(program: Path, engine: Path, tmp_path: Path) -> None:
    video, masks = clip(tmp_path / "a.mp4", drawn(100), codec="libx264", format="mp4"), tmp_path / "m.u8"
    zeroed(video, 0.4, 0.5)
    done = run(*command(program, engine, video, "--masks", masks))
    count = masks.stat().st_size // (40 * 56)
    assert done.returncode == 1
    assert error_of(done).endswith(f"a.mp4 is cut or damaged: {count} frames could be read, it announces 100")
    assert count == decoded(video)


def without_packets(video: Path, start: float, end: float) -> Path:
    """An MPEG-TS whose packets between those parts (0 to 1) are gone, as where the sender was out of reach."""
    content = video.read_bytes()
    first, last = (int(len(content) * part) // 188 * 188 for part in (start, end))
    video.write_bytes(content[:first] + content[last:])
    return video


def test_frames_that_are_missing_by_their_time_stamps_are_counted(program: Path, engine: Path, tmp_path: Path) -> None:
    """As the Python cgnet-video counts them, which sees the same stamps."""
    whole = clip(tmp_path / "a.ts", drawn(100), codec="libx264", format="mpegts")
    done = run(*command(program, engine, whole, "--masks", tmp_path / "m.u8", "--strict"))
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stdout
    cut = without_packets(whole, 0.45, 0.48)
    assert 95 <= decoded(cut) < 100  # fewer are cut off, by what the file announces
    done = run(*command(program, engine, cut, "--masks", tmp_path / "m.u8"))
    count = (tmp_path / "m.u8").stat().st_size // (40 * 56)
    assert f" frames/s, {100 - count} missing by their time stamps: the input is damaged; network" in done.stdout
    done = run(*command(program, engine, cut, "--strict", "--masks", tmp_path / "m.u8"))
    assert done.returncode == 1
    lacking = f"of its frames {100 - count} missing by their time stamps, and --strict was given"
    assert error_of(done) == f"cgnet_video: {cut} is damaged: {lacking}"


@pytest.mark.parametrize(
    ("codec", "container"), [("libx264", "h264"), ("libx264", "mpegts"), ("libx265", "hevc"), ("mpeg2video", "mpegts")]
)
@pytest.mark.parametrize("sizes", [((40, 56), (96, 128)), ((96, 128), (40, 56))], ids=["grows", "shrinks"])
def test_a_video_that_changes_its_size_is_refused(
    sizes: tuple[tuple[int, int], tuple[int, int]],
    codec: str,
    container: str,
    program: Path,
    engine: Path,
    tmp_path: Path,
) -> None:
    video, out = tmp_path / f"both.{container}", tmp_path / "out"
    out.mkdir()
    parts = [
        clip(tmp_path / f"{size[0]}.{container}", drawn(30, *size), codec=codec, format=container) for size in sizes
    ]
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    flags = (program, engine, video, "--masks", out / "m.u8", "--output", out / "o.avi")
    done = run(*command(*flags))
    assert done.returncode == 2, done.stderr
    change = " to ".join(f"{height}x{width}" for height, width in sizes)
    advice = "cut the video there: an output has one size"
    assert done.stderr == f"cgnet_video: {video} changes its size at frame 30, from {change}; {advice}\n"
    assert list(out.iterdir()) == []
    assert run(*command(*flags), "--limit", "12").returncode == 2  # FFmpeg may have decoded what comes after


@pytest.mark.parametrize("kind", ["masks", "output"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    kind: str, program: Path, engine: Path, tmp_path: Path, make_video: MakeVideo
) -> None:
    video = make_video("long.avi", np.concatenate([FRAMES] * 10))
    path = tmp_path / {"masks": "m.u8", "output": "o.avi"}[kind]
    done = run(*command(program, engine, video, f"--{kind}", path), most_bytes=20_000)
    assert done.returncode == 1, done.stderr
    assert f"{path} can't be written: " in error_of(done)
    assert error_of(done).endswith("is the disk full?")
    assert list(tmp_path.iterdir()) == []


@interruptible()
def test_an_interrupt_leaves_files_with_the_frames_so_far(
    program: Path, engine: Path, tmp_path: Path, make_video: MakeVideo
) -> None:
    count = 8100
    video = make_video("long.avi", np.concatenate([FRAMES] * (count // len(FRAMES))))
    masks, out = tmp_path / "masks.u8", tmp_path / "overlay.avi"
    with subprocess.Popen(
        command(program, engine, video, "--masks", masks, "--output", out), stderr=subprocess.PIPE, text=True
    ) as process:
        # Its temporary file grows with the frames: it is in the middle once some are in there.
        while process.poll() is None and sum(one.stat().st_size for one in tmp_path.glob(".masks.*")) < 10 * 40 * 56:
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.endswith("cgnet_video: stopped; the frames so far are written\n")
    labels = np.fromfile(masks, np.uint8).reshape(-1, 40, 56)
    assert 10 <= len(labels) < count
    assert len(read_video(out)) == len(labels)
    with open_engine(f"openvino:{engine}") as opened:
        wanted = np.concatenate([opened.infer(frame[None]) for frame in FRAMES])
    np.testing.assert_array_equal(labels, np.resize(wanted, labels.shape))
    assert {path.name for path in tmp_path.iterdir()} == {"masks.u8", "overlay.avi"}


def test_a_slow_writer_loses_nothing_and_memory_is_bounded(
    program: Path, engine: Path, tmp_path: Path, make_video: MakeVideo
) -> None:
    """FFV1 of a large picture takes much longer than a tiny network: the writer is what all wait for."""

    def peak_mib(count: int) -> float:
        frames = np.concatenate([large] * count)
        video, masks = make_video("large.avi", frames), tmp_path / "masks.u8"
        flags = ("--masks", masks, "--output", tmp_path / "slow.avi", "--codec", "FFV1", "--overlay", "1")
        peak_kib = 0
        with subprocess.Popen(command(program, engine, video, *flags), stdout=subprocess.DEVNULL) as process:
            while True:  # not getrusage: its peak is inherited over fork
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    peak_kib = int(line.split()[1]) if line.startswith("VmHWM:") else peak_kib
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.02)
                    break
        assert process.returncode == 0
        assert len(read_video(tmp_path / "slow.avi")) == len(frames)
        labels = np.fromfile(masks, np.uint8).reshape(len(frames), 240, 320)
        np.testing.assert_array_equal(labels, np.concatenate([labels[:4]] * count))
        assert len(np.unique(labels[:4].reshape(4, -1), axis=0)) == 4
        return peak_kib / 1024

    large = drawn_frames(4, 240, 320)
    few, many = peak_mib(5), peak_mib(25)
    assert many - few < 10  # eighty frames more, of 0.3 MiB each with their labels
