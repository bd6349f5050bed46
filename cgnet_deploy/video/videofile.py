"""Writing a video: H.264 and sound with PyAV where it is installed, else MPEG-4 without sound by OpenCV.

A video is written atomically. After an interrupt its index is still written, so it plays up to there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from cgnet_deploy.errors import CgnetError, one_line, require
from cgnet_deploy.files import replacing
from cgnet_deploy.pixels import U8
from cgnet_deploy.video.pyav import has_pyav
from cgnet_deploy.video.sink import Write
from cgnet_deploy.video.sound import Sound

log = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
# 1 ms for a 360x480 frame instead of 5 with "veryfast", at the same PSNR, for twice the bytes: the cores are the
# engine's.
X264 = {"preset": "ultrafast", "crf": "20"}
SQUARE = Fraction(1)
TICKS = 90_000  # a second, MPEG's own
BT601 = (
    6  # AVColorSpace SMPTE170M: the matrix by which swscale converts BGR to YUV; players take untagged HD for BT.709
)


@contextmanager
def video_file(path: Path, fps: float, sound: Path | None, aspect: Fraction = SQUARE) -> Iterator[Write]:
    """Write pictures to `path`, at `fps` or, with PyAV, at their own times.

    sound: a file whose sound is copied beside the pictures, up to the last one. aspect: width to height of a pixel,
    which OpenCV can't write. Raises CgnetError, and leaves `path` as it was, if the disk is full or the encoder fails.
    """
    with replacing(path) as temporary:
        if has_pyav():
            with _with_pyav(temporary, path, fps, sound, aspect) as write:
                yield write
        else:
            log.info(f"without PyAV {path} is MPEG-4 and has no sound; H.264: pip install 'cgnet-deploy[video]'")
            with _with_opencv(temporary, path, fps) as write:
                yield write


def even(picture: U8) -> U8:
    """The picture with its last row or column repeated where their number is odd: YUV 4:2:0 needs even sides."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)


@contextmanager
def _with_pyav(temporary: Path, path: Path, fps: float, sound: Path | None, aspect: Fraction) -> Iterator[Write]:
    av = require("av", extra="video")
    try:
        with av.open(str(temporary), "w", format=CONTAINERS[path.suffix.lower()]) as out:
            rate = Fraction(fps).limit_denominator(1001)
            video = out.add_stream("libx264", rate=rate, options=X264)
            video.codec_context.time_base = Fraction(1, TICKS)
            video.codec_context.sample_aspect_ratio = aspect
            video.pix_fmt, video.codec_context.colorspace = "yuv420p", BT601
            track = Sound(out, sound, path) if sound else None
            last = -1
            fixed = path.suffix.lower() == ".avi"  # a container without timestamps: frames follow each other at `fps`
            if fixed:
                video.codec_context.time_base = 1 / rate

            def write(picture: U8, index: int, time_s: float) -> bool:
                nonlocal last
                frame = av.VideoFrame.from_ndarray(even(picture), format="bgr24")
                if last < 0:
                    video.height, video.width = frame.height, frame.width
                last = max(last + 1, 0 if fixed else round(time_s * TICKS))
                frame.pts, frame.time_base = last, video.codec_context.time_base
                out.mux(video.encode(frame))
                if track:
                    track.copy_until(time_s)
                return True

            try:
                yield write
            finally:  # after an interrupt too: the index makes it play
                if last >= 0:
                    out.mux(video.encode(None))
                if track:
                    track.close()
    except av.FFmpegError as error:
        raise CgnetError(f"{path} can't be written: {error.strerror or one_line(error)}") from error


@contextmanager
def _with_opencv(temporary: Path, path: Path, fps: float) -> Iterator[Write]:
    """OpenCV chooses the container by the suffix, and reports no full disk: the frames in the file are counted."""
    part = temporary.with_suffix(path.suffix.lower())
    code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix.lower() == ".avi" else "mp4v"))
    writer, written = cv2.VideoWriter(), 0

    def write(picture: U8, index: int, time_s: float) -> bool:
        nonlocal written
        picture = even(picture)
        if not written and not writer.open(str(part), code, fps, (picture.shape[1], picture.shape[0])):
            raise CgnetError(f"{path} can't be written: this OpenCV has no encoder for {path.suffix}")
        writer.write(picture)
        written += 1
        return True

    try:
        try:
            yield write
        finally:
            writer.release()
        if written:
            check = cv2.VideoCapture(str(part), cv2.CAP_FFMPEG)
            complete = round(check.get(cv2.CAP_PROP_FRAME_COUNT)) == written
            # An AVI announces its frames at its start, however many follow.
            complete = complete and check.set(cv2.CAP_PROP_POS_FRAMES, written - 1) and check.grab()
            check.release()
            if not complete:
                raise CgnetError(f"{path} can't be written: frames are missing in it; is the disk full?")
            part.replace(temporary)
    finally:
        part.unlink(missing_ok=True)
