"""Videos that are written: that they play, what they hold, and that a full disk is reported."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.pixels import U8
from cgnet_deploy.video import videofile
from cgnet_deploy.video.sound import Sound
from cgnet_deploy.video.videofile import video_file
from tests.video.clips import clip, drawn, frames_of

av = pytest.importorskip("av")


def write(path: Path, frames: list[U8], *, times: list[float] | None = None, sound: Path | None = None) -> None:
    with video_file(path, 25.0, sound) as show:
        for index, frame in enumerate(frames):
            assert show(frame, index, times[index] if times else index / 25)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".m4v"])
def test_h264_of_the_same_pictures(suffix: str, tmp_path: Path) -> None:
    frames = drawn(12, 64, 96)
    write(path := tmp_path / f"a{suffix}", frames)
    with av.open(str(path)) as opened:
        assert opened.streams.video[0].codec_context.name == "h264"
    for written, frame in zip(frames_of(path), frames, strict=True):
        # 4:2:0 and compression: near on average; red and blue exchanged would be far.
        assert np.abs(written.astype(int) - frame).mean() < 12
        assert np.abs(written[..., ::-1].astype(int) - frame).mean() > 30
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_odd_size_gets_one_more_row_and_column(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn(3, 33, 47))
    assert {frame.shape for frame in frames_of(tmp_path / "a.mp4")} == {(34, 48, 3)}


def test_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.54]  # a camera that slept
    write(tmp_path / "a.mp4", drawn(4), times=times)
    with av.open(str(tmp_path / "a.mp4")) as opened:
        assert [frame.time for frame in opened.decode(video=0)] == pytest.approx(times)


@pytest.mark.parametrize(("codec", "container"), [("aac", "mp4"), ("libmp3lame", "mp4"), ("aac", "matroska")])
def test_sound_is_copied_packet_by_packet(codec: str, container: str, tmp_path: Path) -> None:
    frames = drawn(50)
    source = clip(tmp_path / "in", frames, codec="libx264", format=container, sound=codec)
    write(tmp_path / "out.mp4", frames, sound=source)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as opened:
            return [bytes(packet) for packet in opened.demux(audio=0) if packet.size]

    before, after = packets(source), packets(tmp_path / "out.mp4")
    # All that begins before the last picture's time.
    assert len(before) - 2 <= len(after) <= len(before)
    assert after == before[: len(after)]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_whose_times_fall_goes_on(count: int, suffix: str, tmp_path: Path) -> None:
    """Recordings joined to one transport stream: each begins at its own time again."""
    part = clip(tmp_path / "part.ts", drawn(50), codec="libx264", format="mpegts", sound="aac").read_bytes()
    (source := tmp_path / "all.ts").write_bytes(part * count)
    write(path := tmp_path / f"out{suffix}", drawn(50 * count), sound=source)
    with av.open(str(path)) as opened:
        times = [
            float(packet.dts * packet.time_base) for packet in opened.demux(audio=0) if packet.dts and packet.time_base
        ]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(2 * count, abs=0.3)
    assert len(frames_of(path)) == 50 * count


@pytest.mark.parametrize("container", ["mpegts", "matroska", "mp4"])
def test_damaged_sound_costs_no_picture(container: str, tmp_path: Path) -> None:
    source = clip(tmp_path / "in", drawn(50), codec="libx264", format=container, sound="aac")
    content = bytearray(source.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    source.write_bytes(content)
    write(tmp_path / "out.mp4", drawn(50), sound=source)
    assert len(frames_of(tmp_path / "out.mp4")) == 50


def test_sound_ends_with_the_pictures(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", drawn(100), codec="libx264", format="mp4", sound="aac")
    write(tmp_path / "out.mp4", drawn(25), sound=source)
    with av.open(str(tmp_path / "out.mp4")) as opened:
        track = opened.streams.audio[0]
        assert track.duration
        assert track.time_base
        assert 0.7 < float(track.duration * track.time_base) < 1.2  # of 4 seconds


@pytest.mark.parametrize(
    ("container", "codec", "suffix"),
    [("avi", "pcm_mulaw", ".mp4"), ("matroska", "flac", ".mov"), ("avi", "adpcm_ima_wav", ".mkv")],
)
def test_sound_that_the_container_can_t_hold_is_left_out_with_a_note(
    container: str, codec: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clip(tmp_path / "in", drawn(10), format=container, sound=codec)
    write(tmp_path / f"out{suffix}", drawn(10), sound=source)
    assert f"is {codec}, which {suffix} can't hold" in caplog.text
    assert (".mkv can hold most" in caplog.text) == (suffix != ".mkv")
    assert len(frames_of(tmp_path / f"out{suffix}")) == 10


def test_sound_that_fails_on_the_way_ends_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path / "in.avi", drawn(5), sound="pcm_s16le")
    with av.open(io.BytesIO(), "w", format="matroska") as out:
        sound = Sound(out, source, tmp_path / "out.mkv")
        sound._out = Refusing()
        sound.copy_until(0.1)
        sound.close()
    assert "is damaged at 0.1 s and ends there: Invalid argument" in caplog.text


class Refusing:
    def mux(self, packet: object) -> None:
        raise av.ArgumentError(22, "Invalid argument")


def test_sound_is_taken_of_plain_files_only(tmp_path: Path) -> None:
    """A playlist names other files and hosts."""
    clip(tmp_path / "a.ts", drawn(9), codec="libx264", format="mpegts", sound="aac")
    (source := tmp_path / "in.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    write(tmp_path / "out.mp4", drawn(9), sound=source)
    with av.open(str(tmp_path / "out.mp4")) as opened:
        assert not opened.streams.audio
    write(tmp_path / "with.mp4", drawn(9), sound=tmp_path / "a.ts")
    with av.open(str(tmp_path / "with.mp4")) as opened:
        assert opened.streams.audio


def test_a_source_without_sound(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", drawn(3), sound=clip(tmp_path / "in.avi", drawn(3)))
    assert len(frames_of(tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_without_pyav_opencv_writes_and_says_what_is_missing(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(videofile, "has_pyav", lambda: False)
    write(path := tmp_path / f"a{suffix}", drawn(5, 64, 96))
    assert len(frames_of(path)) == 5
    assert "pip install 'cgnet-deploy[video]'" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_failed_run_leaves_the_old_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")

    def half() -> None:
        with video_file(tmp_path / "a.mp4", 25.0, None) as show:
            show(drawn(1)[0], 0, 0.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.pixels import U8
from cgnet_deploy.video import videofile
from cgnet_deploy.video.videofile import video_file
videofile.has_pyav = lambda: sys.argv[2] == "pyav"
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # a write beyond it fails as on a full disk
noise = np.random.default_rng(0).integers(0, 256, (20, 96, 96, 3), np.uint8)
try:
    with video_file(Path(sys.argv[1]), 25.0, None) as show:
        for index, frame in enumerate(noise):
            show(frame, index, index / 25)
except CgnetError as error:
    print(error.exit_code, error)
"""


@pytest.mark.parametrize(("writer", "name"), [("pyav", "a.mp4"), ("opencv", "a.mp4"), ("opencv", "a.avi")])
def test_a_full_disk_is_one_line_and_leaves_nothing(writer: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    run = subprocess.run([sys.executable, "-c", FULL, path, writer], capture_output=True, text=True, check=False)
    assert run.stdout.startswith(f"1 {path} can't be written: "), run.stdout + run.stderr
    assert len(run.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
