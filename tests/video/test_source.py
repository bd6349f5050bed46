"""Sources, sound and broken: which frames come, when they are due, and what is reported at the end."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.clock import Clock
from cgnet_deploy.errors import DataError, UserError
from cgnet_deploy.pixels import U8
from cgnet_deploy.video import source as module
from cgnet_deploy.video.decoder import OPTIONS
from cgnet_deploy.video.source import is_live, open_source
from tests.video.clips import FPS, clip, drawn


def test_a_lossless_file_gives_its_frames_at_their_times(tmp_path: Path) -> None:
    frames = drawn(10)
    source = open_source(str(clip(tmp_path / "a.avi", frames)))
    assert (source.live, source.fps, source.frames) == (False, FPS, 10)
    pictures = list(source)
    np.testing.assert_array_equal([picture.pixels for picture in pictures], frames)
    assert [picture.time_s for picture in pictures] == pytest.approx([i / FPS for i in range(10)])
    assert source.trouble is None


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.mp4", "libx264", "mp4"), ("a.mkv", "libx264", "matroska"), ("a.mkv", "ffv1", "matroska")],
)
def test_other_containers(name: str, codec: str, container: str, tmp_path: Path) -> None:
    source = open_source(str(clip(tmp_path / name, drawn(10), codec=codec, format=container)))
    assert len(list(source)) == 10
    assert source.trouble is None


def test_a_frame_rate_overrides_the_file_s(tmp_path: Path) -> None:
    source = open_source(str(clip(tmp_path / "a.avi", drawn(3))), fps=10)
    assert source.fps == 10
    assert [picture.time_s for picture in source] == [0, 0.1, 0.2]


def test_a_folder_gives_its_pictures_by_name(tmp_path: Path) -> None:
    small, large = drawn(1)[0], drawn(1, 72, 64)[0]
    cv2.imwrite(str(tmp_path / "2.png"), small)
    cv2.imwrite(str(tmp_path / "1.png"), large)
    source = open_source(str(tmp_path))
    assert source.frames == 2
    assert [picture.pixels.shape for picture in source] == [large.shape, small.shape]


def numbered(folder: Path, numbers: range, digits: int = 3) -> list[U8]:
    pictures = drawn(len(numbers))
    for number, picture in zip(numbers, pictures, strict=True):
        cv2.imwrite(str(folder / f"f{number:0{digits}d}.png"), picture)
    return pictures


@pytest.mark.parametrize("pattern", ["f%03d.png", "f%d.png", "f*.png", "f00[0-9].png", "list.txt", "."])
def test_pictures_by_pattern_list_or_folder(pattern: str, tmp_path: Path) -> None:
    wanted = numbered(tmp_path, range(5, 9))
    (tmp_path / "._f005.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "list.txt").write_text("\n".join(f"f{i:03d}.png" for i in range(5, 9)))
    source = open_source(str(tmp_path / pattern))
    assert (source.live, source.frames) == (False, 4)
    np.testing.assert_array_equal([picture.pixels for picture in source], wanted)


def test_numbers_count_and_not_their_spelling(tmp_path: Path) -> None:
    wanted = numbered(tmp_path, range(8, 12), digits=1)
    np.testing.assert_array_equal([one.pixels for one in open_source(str(tmp_path / "f%d.png"))], wanted)


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.tif", "a.ppm"])
def test_one_picture(name: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / name), drawn(1)[0])
    (picture,) = open_source(str(tmp_path / name))
    assert picture.pixels.shape == drawn(1)[0].shape


@pytest.mark.parametrize("pattern", ["g%03d.png", "g*.png"])
def test_a_pattern_of_nothing_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist; wanted a video file, a picture, a folder, pattern or list"):
        open_source(str(tmp_path / pattern))


@pytest.mark.parametrize("linked", [False, True])
def test_files_below_a_folder_of_devices_are_files(linked: bool, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = clip(Path(folder, "a.avi"), drawn(5))
        if linked:
            (path := tmp_path / "b.avi").symlink_to(Path(folder, "a.avi"))
        source = open_source(str(path))
        assert (is_live(str(path)), source.live, len(list(source))) == (False, False, 5)


def test_a_file_and_a_folder_may_be_called_as_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip(Path("7"), drawn(5))
    Path("2024").mkdir()
    numbered(Path("2024"), range(3))
    for name, count in (("7", 5), ("2024", 3)):
        assert (is_live(name), len(list(open_source(name)))) == (False, count)
    assert is_live("8")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("100%_{:03d}.png", "100%%_%03d.png"),
        ("cam%d_{:03d}.png", "cam%%d_%03d.png"),
        ("take 2 [x]_{}.png", "take 2 [x]_%d.png"),
        ("f{}.png", "f*"),
        ("f{}.jp2", "*"),
        ("f{}.png", "../f [1]/*.png"),
        ("f{}.png", "../**/f?.png"),
    ],
)
def test_patterns_of_odd_names(name: str, pattern: str, tmp_path: Path) -> None:
    (folder := tmp_path / "f [1]").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / name.format(number)), drawn(1)[0])
    (folder / "notes.txt").touch()
    assert len(list(open_source(str(folder / pattern)))) == 3


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", drawn(3)).rename(tmp_path / os.fsdecode(b"\xff.avi"))
    with pytest.raises(UserError, match="its name is not UTF-8; rename it, or make a link to it"):
        open_source(str(path))
    (link := tmp_path / "b.avi").symlink_to(path)
    assert len(list(open_source(str(link)))) == 3


def test_a_list_of_what_is_missing_is_refused_before_the_first_picture(tmp_path: Path) -> None:
    numbered(tmp_path, range(2))
    (tmp_path / "list.txt").write_text("f000.png\nf001.png\nf002.png\n")
    with pytest.raises(DataError, match=r"list.txt lists .*/f002.png, which is no file"):
        open_source(str(tmp_path / "list.txt"))


def test_a_device_by_any_name_is_a_camera(tmp_path: Path) -> None:
    (link := tmp_path / "front").symlink_to("/dev/null")
    assert is_live(str(link))
    with pytest.raises(DataError, match="front does not answer"):
        open_source(str(link))


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "faststart"])
def test_sound_that_outlasts_a_short_video_is_no_damage(flags: str, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", drawn(50), codec="libx264", format="mp4", sound="aac", options={"movflags": flags})
    source = open_source(str(path))
    assert len(list(source)) == 50
    assert (source.trouble, source.missing) == (None, 0)


@pytest.mark.parametrize("container", ["matroska", "webm", "mpegts", "mov"])
def test_a_part_of_a_longer_recording_lacks_nothing(container: str, tmp_path: Path) -> None:
    """As FFmpeg's segments and `-copyts` leave it: its stamps begin at 100 s."""
    codec, options = ("vp8" if container == "webm" else "libx264"), {"output_ts_offset": "100"}
    path = clip(tmp_path / "a", drawn(50), codec=codec, format=container, options=options)
    source = open_source(str(path))
    assert (source.frames, len(list(source))) == (50, 50)
    assert (source.trouble, source.missing) == (None, 0)
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if container in ("matroska", "webm"):
        source = open_source(str(cut))
        assert len(list(source)) < 40
        assert "is cut or damaged" in str(source.trouble)


def test_an_avi_with_b_frames_lacks_nothing(tmp_path: Path) -> None:
    source = open_source(str(clip(tmp_path / "a.avi", drawn(50), codec="libx264")))
    times = [picture.time_s for picture in source]
    assert times == pytest.approx([i / FPS for i in range(50)])
    assert (source.trouble, source.missing) == (None, 0)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", drawn(5), codec=None, format="mp4", sound="aac")
    with pytest.raises(DataError, match="holds sound and no pictures"):
        open_source(str(path))


def test_recordings_that_were_joined_are_one_video(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{i}.ts", drawn(40, seed=i), codec="libx264", format="mpegts") for i in range(3)]
    (path := tmp_path / "all.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    source = open_source(str(path))
    times = [picture.time_s for picture in source]
    assert times == pytest.approx([i / FPS for i in range(120)], abs=0.1)
    assert (source.missing, source.trouble) == (0, None)


def test_a_video_that_changes_its_size_goes_on(tmp_path: Path) -> None:
    first = clip(tmp_path / "1.h264", drawn(5), codec="libx264", format="h264")
    second = clip(tmp_path / "2.h264", drawn(5, 96, 128, seed=1), codec="libx264", format="h264")
    (both := tmp_path / "both.h264").write_bytes(first.read_bytes() + second.read_bytes())
    frames = [picture.pixels for picture in open_source(str(both))]
    assert len(frames) == 10
    # OpenCV scales what comes later to the first size; it is the second video's picture all the same.
    wanted = cv2.resize(drawn(5, 96, 128, seed=1)[4], frames[9].shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(frames[9].astype(int) - wanted).mean() < 12


def test_a_video_without_a_frame(tmp_path: Path) -> None:
    source_path = str(clip(tmp_path / "none.mkv", [], codec="libx264", format="matroska"))
    with pytest.raises(DataError, match=r"none\.mkv"):
        list(open_source(source_path))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01\x02" * 500, b"just a text\n" * 50, b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0"],
    ids=["empty", "noise", "text", "playlist", "concat"],
)
def test_a_file_that_is_not_a_video_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4 is not a video that can be read"):
        open_source(str(tmp_path / "a.mp4"))


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_source(str(tmp_path / "no.mp4"))
    with pytest.raises(DataError, match="camera /dev/video1234 does not answer"):
        open_source("/dev/video1234")


@contextmanager
def camera(content: bytes) -> Iterator[str]:
    """A network camera that sends `content` and is then unplugged."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/x-matroska")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_port}/stream"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_camera_that_vanishes(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", drawn(40), format="matroska")
    with camera(path.read_bytes()[: path.stat().st_size // 2]) as url:
        source = open_source(url)
        assert (source.live, source.frames) == (True, None)
        count = len(list(source))
    assert 10 <= count < 30
    assert f"gave no more frames after {count}: it ended or disconnected" in str(source.trouble)
    assert "secret" not in str(source.trouble)


def test_a_file_played_live_keeps_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(module, "CLOCK", Clock(lambda: round(now[0] * 1e9), sleep))
    starts = []
    for picture in open_source(str(clip(tmp_path / "a.avi", drawn(4))), live=True):
        starts.append(round(now[0] - 5, 3))
        now[0] += 0.01 if picture.time_s else 0.1  # the first is held for two and a half periods
    assert starts == [0, 0.1, 0.11, 0.12]


def test_the_options_for_ffmpeg_are_the_user_s_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OPTIONS, raising=False)
    monkeypatch.setattr(module, "pyav_reads", lambda: False)  # OpenCV's FFmpeg takes them from the environment
    open_source(str(clip(tmp_path / "a.avi", drawn(1))))
    assert OPTIONS not in os.environ
