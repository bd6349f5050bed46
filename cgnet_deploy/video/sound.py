"""The sound of a video beside its overlays: packets are copied, nothing is decoded."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cgnet_deploy.errors import one_line, require
from cgnet_deploy.video.pyav import opened

log = logging.getLogger(__name__)


class Sound:
    """Copies the first sound track of `source` into `out`, an open PyAV container for `path`, if it has one.

    A track that the container can't hold is left out, with a note in the log.
    """

    def __init__(self, out: Any, source: Path, path: Path) -> None:
        av = require("av", extra="video")
        self._out, self._held, self._name = out, None, source
        self._packets: Iterator[Any] = iter(())
        try:
            self._input = opened(source)
        except (av.FFmpegError, ValueError):  # OpenCV reads it all the same; its sound is lost
            self._input = None
            return
        track = next(iter(self._input.streams.audio), None)
        if track is None:
            return
        codec = track.codec_context.codec.canonical_name
        if not _holds(out.format.name, track):
            hint = "" if path.suffix.lower() == ".mkv" else "; .mkv can hold most"
            log.warning(f"the sound of {source} is {codec}, which {path.suffix} can't hold: it is left out{hint}")
            return
        video = next(iter(self._input.streams.video), None)
        start_s = float((video.start_time or 0) * video.time_base) if video else 0.0
        self._start = round(start_s / track.time_base)  # pictures are timed from the first one
        self._last, self._after = -math.inf, 0  # the time of the packet before, and where that ends
        self._track = out.add_stream_from_template(track)
        self._packets = self._input.demux(track)

    def copy_until(self, time_s: float) -> None:
        """Copy the sound up to `time_s`, counted from the first picture. Damage ends it, with a note in the log."""
        av = require("av", extra="video")
        try:
            while (packet := self._held or next(self._packets, None)) is not None:
                self._held = None
                if packet.dts is None or packet.pts is None:  # marks the end
                    continue
                if packet.dts - self._start <= self._last:
                    # Recordings joined to one file: the times go on where those before ended, as the pictures' do.
                    self._start = packet.dts - self._after
                if float((packet.dts - self._start) * packet.time_base) > time_s:
                    self._held = packet
                    return
                # Times may be negative: a decoder needs some packets before the first audible one.
                packet.dts, packet.pts = packet.dts - self._start, packet.pts - self._start
                self._last, self._after = packet.dts, packet.dts + max(packet.duration or 0, 1)
                packet.stream = self._track
                self._out.mux(packet)
        except (av.InvalidDataError, ValueError) as error:  # PyAV's of FFmpeg's EINVAL is both
            log.warning(f"the sound of {self._name} is damaged at {time_s:.1f} s and ends there: {one_line(error)}")
            self._packets = iter(())

    def close(self) -> None:
        if self._input is not None:
            self._input.close()


def _holds(container: str, track: Any) -> bool:
    """Whether a container takes this track, which FFmpeg's table of codecs alone doesn't tell."""
    av = require("av", extra="video")
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(track)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
