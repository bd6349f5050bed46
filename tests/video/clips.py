"""Small videos, drawn, in every form that a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pytest

from cgnet_deploy.pixels import U8

av = pytest.importorskip("av", reason="PyAV, which draws the videos of these tests, is not here")

FPS = 25
RATE_HZ = 16000
H, W = 40, 56


def drawn(count: int, height: int = H, width: int = W, seed: int = 0) -> list[U8]:
    """Frames of coarse noise that differ from each other."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 5, 7, 3), np.uint8)
    return [np.asarray(cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8) for one in coarse]


def clip(
    path: Path,
    frames: Sequence[U8],
    *,
    codec: str | None = "ffv1",
    format: str = "avi",
    sound: str | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
    title: str = "",
) -> Path:
    """A video of 25 frames a second; ffv1 loses nothing. codec: None for no pictures.

    sound: the codec of a tone that lasts as long. options: of the container.
    """
    with av.open(str(path), "w", format=format, options=dict(options)) as out:
        out.metadata["title"] = title
        video: Any = out.add_stream(codec, rate=FPS) if codec else None
        if video:
            video.height, video.width = frames[0].shape[:2] if frames else (H, W)
            video.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        track: Any = out.add_stream(sound, rate=RATE_HZ, layout="mono") if sound else None
        out.start_encoding()
        for frame in frames if video else ():
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        if video:
            out.mux(video.encode(None))
        if track:
            length = RATE_HZ * len(frames) // FPS
            tone = (0.3 * np.sin(np.arange(length) / 3)).astype(np.float32)
            for start in range(0, length, 1024):
                part = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
                out.mux(track.encode(part))
            out.mux(track.encode(None))
    return path


def frames_of(path: Path) -> list[U8]:
    """Every frame of a video, by OpenCV."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames: list[U8] = []
    while True:
        read, frame = capture.read()
        if not read:
            return frames
        frames.append(np.asarray(frame, np.uint8))


def zeroed(path: Path, start: float, end: float) -> Path:
    content = bytearray(path.read_bytes())
    first, last = (int(len(content) * part) for part in (start, end))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


def decoded(path: Path) -> int:
    """How many frames FFmpeg decodes that goes on after errors, as `ffmpeg -i FILE -f null -` does."""
    count = 0
    with av.open(str(path)) as opened:
        opened.streams.video[0].codec_context.flags |= av.codec.context.Flags.output_corrupt
        for packet in opened.demux(video=0):
            with suppress(av.FFmpegError):
                count += len(packet.decode())
    return count
