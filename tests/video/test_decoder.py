"""PyAV and OpenCV give the same frames to the bit; of what is damaged PyAV gives as many as FFmpeg decodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.video import source as module
from cgnet_deploy.video.decoder import OPTIONS
from cgnet_deploy.video.source import Capture, Picture, open_source
from cgnet_deploy.video.videofile import video_file
from tests.video.clips import FPS, RATE_HZ, clip, decoded, drawn
from tests.video.test_damaged import GROUP, blanked, holed, shuffled

av = pytest.importorskip("av")


FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".ts": "mpegts"}


def coded(path: Path, codec: str, pixels: str, size: tuple[int, int] = (40, 56), **settings: object) -> Path:
    """A clip of eight frames in a form of pixels. size: (H, W). settings: of the encoder."""
    with av.open(str(path), "w", format=FORMATS[path.suffix]) as out:
        video: Any = out.add_stream(codec, rate=FPS)
        video.height, video.width, video.pix_fmt = *size, pixels
        for name, value in settings.items():
            setattr(video.codec_context, name, value)
        for frame in drawn(8, *size):
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="bgr24").reformat(format=pixels)))
        out.mux(video.encode(None))
    return path


@pytest.fixture
def by_opencv(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], tuple[Capture, list[Picture]]]:
    def read(path: Path) -> tuple[Capture, list[Picture]]:
        with monkeypatch.context() as patch:
            patch.setattr(module, "pyav_reads", lambda: False)
            return both(path)

    return read


def both(path: Path) -> tuple[Capture, list[Picture]]:
    source = open_source(str(path))
    assert isinstance(source, Capture)
    return source, list(source)


FORMS = [
    ("a.mp4", "libx264", "yuv420p", {}),
    ("a.mov", "libx264", "yuv422p", {}),
    ("a.mkv", "libx264", "yuv444p", {"size": (41, 57)}),
    ("a.mkv", "ffv1", "yuv420p", {"size": (41, 57)}),
    ("a.mp4", "libx264", "yuv420p", {"colorspace": 1}),
    ("a.mp4", "libx264", "yuvj420p", {"color_range": 2}),
    ("a.ts", "libx264", "yuv420p", {"colorspace": 1, "color_range": 2}),
    ("a.mp4", "libx264", "yuv420p10le", {"colorspace": 1}),
    ("a.mkv", "libx265", "yuv420p10le", {"colorspace": 9}),
    ("a.mp4", "libx264", "gray", {}),
    ("a.mkv", "ffv1", "gray16le", {}),
    ("a.mkv", "ffv1", "bgr0", {}),
    ("a.avi", "mjpeg", "yuvj420p", {}),
    ("a.avi", "libx264", "yuv420p", {}),
    ("a.avi", "mpeg4", "yuv420p", {}),
    ("a.ts", "mpeg2video", "yuv420p", {}),
    ("a.mov", "prores_ks", "yuv422p10le", {}),
    ("a.mkv", "libvpx-vp9", "yuv420p", {}),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "settings"), FORMS)
def test_one_video_by_two_decoders(
    name: str,
    codec: str,
    pixels: str,
    settings: dict[str, Any],
    by_opencv: Callable[[Path], tuple[Capture, list[Picture]]],
    tmp_path: Path,
) -> None:
    path = coded(tmp_path / name, codec, pixels, **settings)
    (one, pictures), (other, wanted) = both(path), by_opencv(path)
    assert len(pictures) == 8
    np.testing.assert_array_equal([one.pixels for one in pictures], [one.pixels for one in wanted])
    assert [one.time_s for one in pictures] == pytest.approx([one.time_s for one in wanted])
    assert (one.fps, one.frames, one.aspect) == (other.fps, other.frames, other.aspect)
    assert (one.missing, one.damaged, one.trouble) == (0, 0, None)


@pytest.mark.parametrize("turns", [90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_turned_video_by_two_decoders(
    turns: int, suffix: str, by_opencv: Callable[[Path], tuple[Capture, list[Picture]]], tmp_path: Path
) -> None:
    upright, path = coded(tmp_path / f"up{suffix}", "libx264", "yuv420p"), tmp_path / f"a{suffix}"
    with av.open(str(upright)) as opened, av.open(str(path), "w") as out:
        track = out.add_stream_from_template(opened.streams.video[0])
        track.set_display_rotation(turns)
        for packet in opened.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)
    (_, (first, *_)), (_, pictures), (_, wanted) = both(upright), both(path), by_opencv(path)
    np.testing.assert_array_equal([one.pixels for one in pictures], [one.pixels for one in wanted])
    assert (pictures[0].pixels.shape == first.pixels.shape) == (turns == 180)
    assert not np.array_equal(pictures[0].pixels, first.pixels)


def test_a_video_that_changes_its_size_by_two_decoders(
    by_opencv: Callable[[Path], tuple[Capture, list[Picture]]], tmp_path: Path
) -> None:
    parts = [clip(tmp_path / f"{h}.h264", drawn(5, h, 56), codec="libx264", format="h264") for h in (40, 72, 48)]
    (path := tmp_path / "a.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    (_, pictures), (_, wanted) = both(path), by_opencv(path)
    assert len(pictures) == 15
    np.testing.assert_array_equal([one.pixels for one in pictures], [one.pixels for one in wanted])


@pytest.fixture(scope="module")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("hevc")
    formats = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts", "mov": "mov"}
    return {
        suffix: clip(folder / f"a.{suffix}", drawn(100), codec="libx265", format=name).read_bytes()
        for suffix, name in formats.items()
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damage", [shuffled, blanked, holed])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_damaged_hevc(
    suffix: str,
    damage: Callable[[bytes, np.random.Generator], bytes],
    seed: int,
    hevc: dict[str, bytes],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(damage(hevc[suffix], np.random.default_rng(seed)))
    try:
        _, pictures = both(path)
    except DataError:  # its index is gone
        assert suffix in ("mp4", "mov")
        return
    assert len(pictures) >= decoded(path) - GROUP


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_frames_whose_references_are_lost_come_and_are_counted(
    suffix: str, hevc: dict[str, bytes], by_opencv: Callable[[Path], tuple[Capture, list[Picture]]], tmp_path: Path
) -> None:
    (whole := tmp_path / f"whole.{suffix}").write_bytes(hevc[suffix])
    with av.open(str(whole)) as opened, av.open(str(path := tmp_path / f"a.{suffix}"), "w") as out:
        track = out.add_stream_from_template(opened.streams.video[0])
        for number, packet in enumerate(opened.demux(video=0)):
            if packet.dts is not None and number not in range(40, 44):
                packet.stream = track
                out.mux(packet)
    source, pictures = both(whole)
    assert (len(pictures), source.damaged) == (100, 0)
    (source, pictures), (_, fewer) = both(path), by_opencv(path)
    assert len(pictures) >= decoded(path) > len(fewer)
    assert source.damaged > 0
    assert source.missing > 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_av1_needs_pyav(
    suffix: str, by_opencv: Callable[[Path], tuple[Capture, list[Picture]]], tmp_path: Path
) -> None:
    path = coded(tmp_path / f"a{suffix}", "libsvtav1", "yuv420p", (64, 96))
    assert len(both(path)[1]) == 8
    with pytest.raises(DataError, match=r"\(its codec is .*\); .* pip install 'cgnet-deploy\[video\]'"):
        by_opencv(path)


@pytest.mark.parametrize(("suffix", "format"), [("m4a", "mp4"), ("mp4", "mp4"), ("mov", "mov")])
def test_a_song_with_a_cover_holds_no_pictures(suffix: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w", format=format) as out:
        track: Any = out.add_stream("aac", rate=RATE_HZ, layout="mono")
        cover: Any = out.add_stream("mjpeg", rate=FPS)
        cover.height, cover.width, cover.pix_fmt = 40, 56, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        out.start_encoding()
        out.mux(cover.encode(av.VideoFrame.from_ndarray(drawn(1)[0], format="bgr24")))
        out.mux(cover.encode(None))
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        part.sample_rate = RATE_HZ
        out.mux(track.encode(part))
        out.mux(track.encode(None))
    with pytest.raises(DataError, match="holds sound and no pictures"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_a_title_that_is_not_utf_8_costs_nothing(suffix: str, tmp_path: Path) -> None:
    path = clip(tmp_path / f"a{suffix}", drawn(5), codec="mpeg4", format=FORMATS[suffix], sound="aac", title="Stra__e")
    path.write_bytes(path.read_bytes().replace(b"Stra__e", "Stra\xdf\xe9e".encode("latin-1")))
    source, pictures = both(path)
    assert len(pictures) == 5
    with video_file(tmp_path / "out.mp4", source.fps, path) as write:
        write(pictures[0].pixels, 0, 0.0)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.audio


def test_options_for_opencv_are_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = coded(tmp_path / "a.mp4", "libx264", "yuv420p")
    monkeypatch.setenv(OPTIONS, "format_whitelist;avi")
    with pytest.raises(DataError, match="is not a video that can be read"):
        open_source(str(path))
