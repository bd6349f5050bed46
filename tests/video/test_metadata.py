"""What a video says about its pixels beside them: shape, colours and rotation are heeded, and HDR is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.video.source import open_source
from cgnet_deploy.video.videofile import video_file
from tests.video.clips import drawn

av = pytest.importorskip("av")

FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".ts": "mpegts", ".avi": "avi"}


def described(path: Path, **settings: object) -> Path:
    """A clip whose encoder was told `settings`."""
    with av.open(str(path), "w", format=FORMATS[path.suffix]) as out:
        video: Any = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 56, 40, "yuv420p"
        for name, value in settings.items():
            setattr(video.codec_context, name, value)
        for picture in drawn(6, 40, 56):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(10, 11), Fraction(1)])
def test_the_shape_of_pixels_is_kept(suffix: str, aspect: Fraction, tmp_path: Path) -> None:
    source = open_source(str(described(tmp_path / f"in{suffix}", sample_aspect_ratio=aspect)))
    assert source.aspect == aspect
    path = tmp_path / "out.mp4"
    with video_file(path, source.fps, None, aspect) as write:
        for index, picture in enumerate(source):
            write(picture.pixels, index, picture.time_s)
    with av.open(str(path)) as opened:
        assert opened.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_hdr_is_refused(curve: int, name: str, suffix: str, tmp_path: Path) -> None:
    path = described(tmp_path / f"in{suffix}", color_trc=curve, color_primaries=9, colorspace=9)
    with pytest.raises(DataError, match=rf"is HDR \({name}\)"):
        open_source(str(path))


@pytest.mark.parametrize("curve", [1, 13, 14])  # BT.709, sRGB, BT.2020
def test_what_is_not_hdr_is_read(curve: int, tmp_path: Path) -> None:
    assert len(list(open_source(str(described(tmp_path / "in.mp4", color_trc=curve))))) == 6


RGB = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 60, 20], [255, 255, 255], [10, 10, 10]], np.uint8)
KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}  # AVColorSpace: BT.709, BT.601
SCALES = {1: ((219, 16), (224, 128)), 2: ((255, 0), (255, 128))}  # AVColorRange: limited, full


def coded(matrix: int, scale: int) -> U8:
    """Bars of RGB, 16 pixels wide, as the planes of 4:2:0: (96, 96)."""
    (kr, kb), ((of_y, least), (of_uv, middle)) = KR_KB[matrix], SCALES[scale]
    r, g, b = np.repeat(RGB, 16, axis=0)[None].repeat(64, axis=0).transpose(2, 0, 1) / 255
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = ((c - y) / (2 * (1 - k)) for c, k in ((b, kb), (r, kr)))
    planes = [of_y * y + least, *(of_uv * one[::2, ::2] + middle for one in (u, v))]
    content = np.concatenate([np.clip(plane.round(), 0, 255).astype(np.uint8).ravel() for plane in planes])
    return np.asarray(content.reshape(96, 96), np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("matrix", KR_KB)
def test_range_and_matrix_of_colours_are_heeded(matrix: int, scale: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in{suffix}"
    with av.open(str(path), "w", format=FORMATS[suffix]) as out:
        video: Any = out.add_stream("libx264", rate=25, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.color_range, video.codec_context.colorspace = scale, matrix
        for _ in range(3):
            out.mux(video.encode(av.VideoFrame.from_ndarray(coded(matrix, scale), format="yuv420p")))
        out.mux(video.encode(None))
    for picture in open_source(str(path)):
        np.testing.assert_allclose(picture.pixels[::8, 4::16, ::-1].astype(int), RGB[None].repeat(8, axis=0), atol=2)


@pytest.mark.parametrize("turns", range(4))
def test_a_video_is_turned_as_it_says(turns: int, tmp_path: Path) -> None:
    path = described(tmp_path / "in.mp4", sample_aspect_ratio=Fraction(64, 45))
    (upright,) = list(open_source(str(path)))[:1]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # of a track's header, version 0: nine numbers of 16.16 bits
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    content[matrix : matrix + 20] = b"".join(
        (number << 16).to_bytes(4, "big", signed=True) for number in (cos, sin, 0, -sin, cos)
    )
    path.write_bytes(content)
    source = open_source(str(path))
    (turned,) = list(source)[:1]
    np.testing.assert_array_equal(turned.pixels, np.rot90(upright.pixels, -turns))
    assert source.aspect == (Fraction(45, 64) if turns % 2 else Fraction(64, 45))
