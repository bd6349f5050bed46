"""Where frames come from: a video file, pictures (one, a folder, a pattern, a list), a camera, a network stream.

Every picture carries its time, so that a video of a changing rate keeps it and sound stays in step.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.data.images import IMAGE_SUFFIXES, images_in, pictures_of, read_image
from cgnet_deploy.data.mistaken import is_picture
from cgnet_deploy.data.opening import accessible
from cgnet_deploy.data.pairing import lines_of
from cgnet_deploy.errors import CgnetError, DataError
from cgnet_deploy.files import matching
from cgnet_deploy.lookup import exists, is_dir, is_file, mode, no_file
from cgnet_deploy.pixels import U8
from cgnet_deploy.places import check_name
from cgnet_deploy.video.decoder import OPTIONS, TIMEOUT_MS, Decoder, OpenCvDecoder, local_only
from cgnet_deploy.video.pyav import PyAvDecoder, pyav_reads
from cgnet_deploy.video.timeline import Timeline

DEFAULT_FPS = 25.0  # of a folder of pictures, and of a camera that reports none
MAX_FPS = 1000.0
NETWORK = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
NUMBERED = re.compile(r"%%|%(0?)(\d{0,2})d")  # as in f%03d.png; %% is a percent sign
ANIMATED = ".gif"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """pixels: (H, W, 3) u8 BGR. time_s: since the first one."""

    pixels: U8
    time_s: float


class Source(Protocol):
    """Pictures that can be iterated over once.

    live: it doesn't wait for its reader. fps: nominal. frames: how many it announces, None if unknown. trouble: after
    the last picture, why it ended too early, or None. missing: pictures that a file lacks by its time stamps so far.
    damaged: those so far of which some of the data is lost. aspect: width to height of a pixel.
    """

    name: str
    live: bool
    fps: float
    frames: int | None
    trouble: CgnetError | None
    aspect: Fraction

    @property
    def missing(self) -> int: ...

    @property
    def damaged(self) -> int: ...

    def __iter__(self) -> Iterator[Picture]: ...


class Pictures:
    """Pictures in files, one after the other."""

    live = False
    trouble: CgnetError | None = None
    missing = damaged = 0
    aspect = Fraction(1)

    def __init__(self, name: str, paths: Sequence[Path], fps: float | None = None) -> None:
        self._paths = paths
        self.name, self.fps = name, fps or DEFAULT_FPS
        self.frames: int | None = len(self._paths)

    def __iter__(self) -> Iterator[Picture]:
        for number, path in enumerate(self._paths):
            yield Picture(read_image(path), number / self.fps)


class Capture:
    """What a decoder gives. live: cameras and network streams; a file can be played as one, at its own rate."""

    def __init__(self, decoder: Decoder, name: str, *, file: bool, live: bool, fps: float | None) -> None:
        own = decoder.fps  # not a number for many cameras
        self.aspect = decoder.aspect
        self.name, self.live = name, live
        self._wanted_fps = fps
        nominal = own if 0 < own <= MAX_FPS else DEFAULT_FPS
        self.fps = fps or nominal
        self.frames = round(decoder.announced) if 0 < decoder.announced < 1e9 else None
        self.trouble: CgnetError | None = None
        self._decoder, self._file = decoder, file
        self._duration_s = decoder.announced / own if self.frames and own > 0 else 0.0
        self._timeline, self._period_s = Timeline(nominal), 1 / nominal

    @property
    def missing(self) -> int:
        return self._timeline.missing

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    def __iter__(self) -> Iterator[Picture]:
        count, start_ns = 0, CLOCK.now_ns()
        try:
            for pixels, stamp_s in self._decoder.frames():
                time_s = self._time_s(count, stamp_s, start_ns)
                if self._file and self.live:
                    wait_ns = start_ns + time_s * 1e9 - CLOCK.now_ns()
                    CLOCK.sleep(max(wait_ns, 0) / 1e9)
                yield Picture(pixels, time_s)
                count += 1
        finally:
            self._decoder.close()
        if not count:
            raise DataError(f"{self.name} holds no frame that can be read{self._hint() if self._file else ''}")
        if not self._file:
            self.trouble = CgnetError(f"{self.name} gave no more frames after {count}: it ended or disconnected")
        elif self.frames and not self._timeline.fell and self._left_s() > self._may_lack_s(self.frames):
            self.trouble = CgnetError(
                f"{self.name} is cut or damaged: {count} frames could be read, it announces {self.frames}"
            )

    def _may_lack_s(self, frames: int) -> float:
        """By time and not by count: where the frame rate changes, FFmpeg's count is a guess."""
        least = 1.5 / frames
        share = least if self._decoder.counted else max(0.05, least)  # sound may outlast the pictures by a twentieth
        return share * self._duration_s

    def _left_s(self) -> float:
        """From the end of the last picture to the end of the file, as it announces it."""
        return self._duration_s - self._timeline.end_s - self._period_s

    def _hint(self) -> str:
        convert = "convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        pyav = "" if pyav_reads() else "pip install 'cgnet-deploy[video]', which decodes more than OpenCV does, or "
        return f" (its codec is {self._decoder.codec}); if a player shows it, {pyav}{convert}"

    def _time_s(self, count: int, stamp_s: float, start_ns: int) -> float:
        """When this picture is due: by the clock, by --fps, or by the file; always later than the one before."""
        if not self._file:
            return (CLOCK.now_ns() - start_ns) / 1e9
        own_s = self._timeline.place(stamp_s)
        return count / self._wanted_fps if self._wanted_fps else own_s


def flaws(missing: int, damaged: int) -> str:
    """What a file lacks, for a person."""
    parts = ((missing, "missing by their time stamps"), (damaged, "damaged"))
    return ", ".join(f"{number} {what}" for number, what in parts if number)


def is_live(text: str) -> bool:
    """Whether `text` is a source that doesn't wait for its reader: a camera's number or device, or a URL."""
    return NETWORK.match(text) is not None or _is_camera(text)


def _is_camera(text: str) -> bool:
    """By what a path is, and by its spelling only where nothing is there: /dev/shm holds files, 7 may be a folder."""
    try:
        found = mode(Path(text))
    except OSError:  # then no camera's number or device
        return False
    return stat.S_ISCHR(found) or (not found and (text.isdecimal() or text.startswith(("/dev/video", "/dev/v4l"))))


def open_source(text: str, *, live: bool = False, fps: float | None = None) -> Source:
    """A video file, a picture, a folder, a pattern (`f%03d.png`, `*.png`) or list (.txt) of pictures, a camera, a URL.

    live: play a file as a camera would. fps: instead of the file's own; a camera is asked for it. Raises DataError if
    it can't be opened.
    """
    if NETWORK.match(text):
        wait = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
        # Between // and @ stands a password: no message repeats it.
        name = re.sub(r"//[^/@]*@", "//", text)
        decoder = OpenCvDecoder(cv2.VideoCapture(text, cv2.CAP_FFMPEG, wait), name, file=False)
        return Capture(decoder, name, file=False, live=True, fps=fps)
    if _is_camera(text):
        camera = cv2.VideoCapture(int(text) if text.isdecimal() else text)
        if fps:
            camera.set(cv2.CAP_PROP_FPS, fps)
        name = f"camera {text}"
        return Capture(OpenCvDecoder(camera, name, file=False), name, file=False, live=True, fps=fps)
    path = Path(text)
    with accessible(text):
        paths = _pictures(path)
    if paths is not None:
        return Pictures(text, paths, fps)
    if (problem := no_file(path)) and not stat.S_ISFIFO(mode(path)):
        raise DataError(
            f"{text} {problem}; wanted a video file, a picture, a folder, pattern or list (.txt) of pictures, "
            "a camera's number, or a URL such as rtsp://"
        )
    check_name(text)
    return Capture(_of_file(path), text, file=True, live=live, fps=fps)


def _of_file(path: Path) -> Decoder:
    """By PyAV where it is installed, unless the user has set options for OpenCV's FFmpeg."""
    if pyav_reads() and OPTIONS not in os.environ:
        return PyAvDecoder(path)
    with local_only():
        return OpenCvDecoder(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), str(path), file=True)


def _pictures(path: Path) -> Sequence[Path] | None:
    """The pictures that `path` means, or None if it is no picture, folder, list or pattern of any."""
    if is_dir(path):
        return images_in(path)
    if is_file(path):
        if path.suffix.lower() == ".txt":
            return _listed(path)
        suffix = path.suffix.lower()
        return [path] if (suffix in IMAGE_SUFFIXES and suffix != ANIMATED) or is_picture(path) else None
    if exists(path):
        return None
    return _numbered(path) or pictures_of(map(Path, matching(str(path)))) or None


def _listed(path: Path) -> list[Path]:
    """Raises DataError, before the first picture is read, if one is missing."""
    listed = [path.parent / line for line in lines_of(path)]
    for one in listed:
        if not is_file(one):
            raise DataError(f"{path} lists {one}, which is no file; wanted a picture a line, from the list's folder")
    return listed


def _numbered(path: Path) -> list[Path]:
    """The pictures of a printf pattern, in the order of their numbers."""
    called = re.compile(NUMBERED.sub(_digits, re.escape(path.name)))
    numbers = {
        one: [int(number) for number in match.groups()]
        for one in path.parent.glob("*")
        if (match := called.fullmatch(one.name))
    }
    return sorted(pictures_of(numbers), key=numbers.__getitem__)


def _digits(conversion: re.Match[str]) -> str:
    """What `%03d` and the like stand for, as a regular expression."""
    padded, width = conversion[1], conversion[2] or "1"
    return "%" if conversion[0] == "%%" else rf"(\d{{{width if padded else 1},}})"
