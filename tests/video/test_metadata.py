"""What a video says about its pixels beside them: their shape is kept, and HDR is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.video.source import open_source
from cgnet_deploy.video.videofile import video_file
from tests.video.clips import drawn

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
