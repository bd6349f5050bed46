"""A file's frames by PyAV: to the bit as OpenCV gives them, and besides those that lack their references.

HDR and sound alone, which OpenCV doesn't tell, are refused here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cgnet_deploy.errors import DataError, require
from cgnet_deploy.pixels import U8
from cgnet_deploy.video.decoder import FAILED_READS, LOCAL, UNREADABLE, check_size

LEAST, REPLACES = 18, 19  # 16 took BT.709 for BT.601; the first one without `metadata_errors`
HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
MICROSECONDS = 1_000_000  # a second, as a container counts its duration


def has_pyav() -> bool:
    return importlib.util.find_spec("av") is not None


def pyav_reads() -> bool:
    """Whether there is a PyAV, and a new one."""
    return has_pyav() and _version() >= LEAST


def _version() -> int:
    return int(importlib.metadata.version("av").partition(".")[0])


def opened(path: Path) -> Any:
    """A PyAV container to be read. Raises FFmpegError, OSError or ValueError if FFmpeg can't."""
    av = require("av", extra="video")
    # Newer ones replace by themselves what is not UTF-8 in a title; the older would end there.
    tags = {"metadata_errors": "replace"} if _version() < REPLACES else {}
    return av.open(str(path), options=LOCAL, **tags)


class PyAvDecoder:
    """Raises DataError for what is no video, for sound alone, and for PQ or HLG, which no network here has seen."""

    def __init__(self, path: Path) -> None:
        self.damaged = 0
        self._av = av = require("av", extra="video")
        try:
            self._opened = opened(path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"{path} {UNREADABLE}") from error
        try:
            self._start(path)
        except BaseException:
            self.close()
            raise

    def _start(self, path: Path) -> None:
        """Read on to the first frame, which says how it is turned."""
        self._track = track = self._pictures(path)
        context = track.codec_context
        if context is None:
            raise DataError(f"{path} holds pictures in a codec that this PyAV doesn't know")
        self.size, self.codec = (context.width, context.height), context.name
        check_size(str(path), self.size)
        context.flags |= self._av.codec.context.Flags.output_corrupt
        context.thread_type = "AUTO"
        self.fps = float(track.guessed_rate or track.average_rate or 0)
        self.announced = float(track.frames or round(self._duration_s() * self.fps))
        self._avi = self._opened.format.name == "avi"
        self.counted = self._avi and track.frames > 0
        self._rest = self._decoded()
        self._first = next(self._rest, None)
        if curve := HDR.get(context.color_trc):
            raise DataError(
                f"{path} is HDR ({curve}), which would be segmented with wrong colours: convert it to SDR first, with "
                "FFmpeg's zscale and tonemap, or libplacebo"
            )
        aspect = track.sample_aspect_ratio or Fraction(1)
        self.aspect = 1 / aspect if self._first and self._first.rotation % 180 else aspect

    def _pictures(self, path: Path) -> Any:
        """The first track of pictures; not the cover of a song."""
        cover = self._av.stream.Disposition.attached_pic
        track = next((one for one in self._opened.streams.video if not one.disposition & cover), None)
        if track is None:
            what = "sound and no pictures" if self._opened.streams.audio else "no pictures"
            raise DataError(f"{path} holds {what}")
        return track

    def _duration_s(self) -> float:
        track = self._track
        if not self._opened.duration:
            return float((track.duration or 0) * track.time_base)
        # Matroska's counts from 0, wherever its stamps begin: in a part of a longer recording, far behind.
        before = (track.start_time or 0) * track.time_base if "matroska" in self._opened.format.name else 0
        return float(self._opened.duration / MICROSECONDS - before)

    def frames(self) -> Iterator[tuple[U8, float]]:
        start = self._track.start_time or 0
        convert = self._av.video.reformatter.VideoReformatter()
        width, height = self.size
        for frame in chain([self._first] if self._first else [], self._rest):
            self._first = None
            self.damaged += frame.is_corrupt
            # An AVI has no time of showing a frame: FFmpeg makes one up.
            stamp = frame.dts if self._avi or frame.pts is None else frame.pts
            # As OpenCV does it: a frame of another size is scaled to the first one's.
            pixels = convert.reformat(frame, width, height, "bgr24", interpolation="BICUBIC").to_ndarray()
            turn = TURNS.get(frame.rotation % 360)
            yield (
                np.asarray(pixels if turn is None else cv2.rotate(pixels, turn), np.uint8),
                0.0 if stamp is None else float((stamp - start) * self._track.time_base),
            )

    def _decoded(self) -> Iterator[Any]:
        """Every frame; behind what is damaged it goes on."""
        failed = 0
        while failed < FAILED_READS:
            try:
                for packet in self._opened.demux(self._track):
                    failed = 0
                    yield from self._of(packet)
                return
            except self._av.FFmpegError:
                failed += 1
        yield from self._of(None)  # what the decoder still holds

    def _of(self, packet: Any) -> list[Any]:
        try:
            frames: list[Any] = self._track.codec_context.decode(packet)
        except (self._av.FFmpegError, ValueError):
            return []
        return frames

    def close(self) -> None:
        self._opened.close()
