"""What a source's frames are decoded by: here OpenCV, for cameras, network streams and, without PyAV, files.

A file's frames are the same to the bit by OpenCV and by PyAV (pyav.py), which also gives what lacks its references:
of a damaged HEVC file OpenCV drops up to half of the frames that FFmpeg decodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np

from cgnet_deploy.errors import DataError, one_line
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import MAX_PIXELS

# In a row, these are the end of a file, or as many as it still announces: each damaged packet is one, and past the end
# each takes 20 us.
FAILED_READS, MOST_FAILED_READS = 1000, 250_000
TIMEOUT_MS = 10_000  # of a silent network stream
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# What a file may be. Not playlists, which name other files and hosts, nor text, which FFmpeg would draw.
KINDS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,gif,h264,hevc,m4v,mjpeg,ivf,obu,yuv4mpegpipe"
LOCAL = {"protocol_whitelist": "file", "format_whitelist": KINDS}  # what FFmpeg is told of a file
UNREADABLE = "is not a video that can be read: it is cut, damaged or of an unknown format"


class Decoder(Protocol):
    """size: (width, height) of the first frame, px. fps: the file's own, 0 if unknown. announced: frames, 0 if unknown.

    counted: that is the pictures' own number, at a constant rate, and no guess from how long the file is.
    aspect: width to height of a pixel as it is shown. codec: its short name. damaged: frames so far that the decoder
    made without all of their data.
    """

    size: tuple[int, int]
    fps: float
    announced: float
    counted: bool
    aspect: Fraction
    codec: str
    damaged: int

    def frames(self) -> Iterator[tuple[U8, float]]:
        """Every frame that can be read, turned as the file says, (H, W, 3) BGR; and its stamp in s, 0 for none."""
        ...

    def close(self) -> None: ...


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise DataError, before a frame is decoded, for frames that are too large. size: (width, height)."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(f"{name} has frames of {height}x{width}; wanted at most {MAX_PIXELS} pixels")


class OpenCvDecoder:
    """Raises DataError if `capture` isn't open."""

    damaged = 0  # it drops those that it knows of
    counted = False  # it doesn't tell

    def __init__(self, capture: cv2.VideoCapture, name: str, *, file: bool) -> None:
        if not capture.isOpened():
            raise DataError(f"{name} {UNREADABLE if file else 'does not answer'}")
        width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.size, self.fps = (width, height), float(capture.get(cv2.CAP_PROP_FPS))
        check_size(name, self.size)
        self.announced = float(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if file else 0.0
        self.aspect = _aspect(capture)
        code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self.codec = one_line(code.to_bytes(4, "little").decode("latin-1"))
        self._capture, self._file = capture, file

    def frames(self) -> Iterator[tuple[U8, float]]:
        count = failed = 0
        while failed < self._failures(count):
            read, pixels = self._capture.read()
            if read:
                failed, count = 0, count + 1
                yield np.asarray(pixels, np.uint8), float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
            else:
                failed += 1

    def _failures(self, count: int) -> int:
        """How many failed reads in a row are the end, after so many frames."""
        left = self.announced - count if self.announced < 1e9 else 0
        return int(min(max(FAILED_READS, left), MOST_FAILED_READS)) if self._file else 1

    def close(self) -> None:
        self._capture.release()


def _aspect(capture: cv2.VideoCapture) -> Fraction:
    """OpenCV turns a picture by the file's rotation."""
    across, down = (int(capture.get(side)) for side in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if across <= 0 or down <= 0:
        return Fraction(1)
    turned = capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
    return Fraction(down, across) if turned else Fraction(across, down)


@contextmanager
def local_only() -> Iterator[None]:
    """Let OpenCV's FFmpeg open plain videos only, unless the user has set options."""
    if OPTIONS in os.environ:
        yield
        return
    os.environ[OPTIONS] = "|".join(map(";".join, LOCAL.items()))
    try:
        yield
    finally:
        del os.environ[OPTIONS]
