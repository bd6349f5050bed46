"""Segment a video from Python: `cgnet-video` is the flags of this one call.

from cgnet_deploy.video.api import segment_video

outcome = segment_video("cgnet.onnx", "drive.mp4", "overlay.mp4", masks="masks")
print(outcome.summary())

For frames of your own, use `cgnet_deploy.Segmenter`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cgnet_deploy.engines.open import backend_and_path
from cgnet_deploy.errors import UsageError
from cgnet_deploy.places import check_folder, check_name, check_writable, real
from cgnet_deploy.spec import Color, Res, Triple
from cgnet_deploy.threads import cores
from cgnet_deploy.video.job import Outcome, process
from cgnet_deploy.video.paint import OverlayPainter
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.sink import PngFolder, Sink, Window
from cgnet_deploy.video.source import Source, is_live, open_source
from cgnet_deploy.video.videofile import CONTAINERS, video_file

WINDOW = "window"


def segment_video(
    engine: str | Path,
    source: str | Path | int,
    output: str | Path | None = None,
    *,
    masks: str | Path | None = None,
    alpha: float = 0.5,
    classes: Sequence[str] = (),
    legend: bool = True,
    fps: float | None = None,
    live: bool = False,
    limit: int | None = None,
    res: Res | str | None = None,
    threads: int | None = None,
    engines: int | None = None,
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    trust: bool = False,
    weights: str | None = None,
    cache: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Segment every frame of `source`; write overlays to `output`, label maps to `masks`, or both.

    engine      a file that `open_engine` opens: "cgnet.plan", "cgnet.onnx", "openvino:cgnet.onnx", "model.pth"
    source      a video file, a picture, a folder, pattern ("f%03d.png", "*.png") or list (.txt) of pictures, a camera's
                number or device, or a URL such as rtsp://
    output      a video (.mp4, .m4v, .mov, .mkv, .avi), a folder for PNG files, or "window"
    masks       a folder for each frame's labels as 8-bit grey PNG: 000000.png, ...
    alpha       of the overlay: 0 shows the frame, 1 the labels
    classes     names of the classes to show; default: all
    legend      add a strip of colours and names below the picture
    fps         frames per second instead of the source's own; sound is then left out
    live        play a file as a camera would: frames that arrive too fast are dropped
    limit       stop after so many frames
    res         the engine's size where the file leaves it open; default: the frame's
    threads     CPU threads of all engines together; default: all cores
    engines     inferences at a time; default: 2 for a file on a CPU, else 1
    contract    the input contract of an engine that has none of its own
    names, mean, std, color, trust    of an engine from elsewhere, whose file doesn't say it: see `open_engine`
    weights     of a checkpoint with several sets: see `load_checkpoint`
    cache       start with what an earlier start compiled: see `open_engine`
    stopped     called between frames; ends the video there when it returns True

    The outputs are complete when this returns, also where the source broke off: see `Outcome.trouble`. Raises UserError
    for arguments that can't be used, before any work, CgnetError if an output can't be written, and what `open_engine`
    raises.
    """
    source, engine = str(source), str(engine)
    output = None if output is None else str(output)
    _check(source, output, masks)
    live_source = live or is_live(source)
    threads = threads or cores()
    count = engines or default_engines(engine, threads, live=live_source)
    with ExitStack() as stack:
        segmenter = stack.enter_context(
            Segmenter(
                engine,
                res=res,
                threads=max(1, threads // count),
                contract=contract,
                names=names,
                mean=mean,
                std=std,
                color=color,
                trust=trust,
                weights=weights,
                cache=cache,
                engines=count,
            )
        )
        frames = open_source(source, live=live, fps=fps)  # after the engine: a camera need not run until it is loaded
        paint = OverlayPainter(segmenter.info.spec, alpha, classes, legend=legend)
        if stopped():
            return Outcome(segmenter.ref, segmenter.info, frames.name, stopped=True)
        return process(
            frames,
            segmenter,
            paint=paint,
            overlays=None if output is None else _overlays(output, source, frames, sound=fps is None),
            masks=None if masks is None else PngFolder(Path(masks)),
            limit=limit,
            stopped=stopped,
        )


def default_engines(ref: str, threads: int, *, live: bool) -> int:
    """How many engines suit a source best.

    Two on a CPU, each with half of the threads: after every layer, one thread of an engine waits for the others, so
    anything that decodes, paints or encodes on the core of one stops them all. One for a live source: with two, each
    frame takes longer. One on a GPU, which runs one inference after the other.
    """
    backend, _ = backend_and_path(ref)
    return 2 if backend.runtime.own_threads and not live and threads % 2 == 0 else 1


def _overlays(output: str, source: str, frames: Source, *, sound: bool) -> Sink:
    """Where the painted pictures go."""
    if output == WINDOW:
        return Window(f"cgnet-video {frames.name}")
    path = Path(output)
    if _is_folder(path):
        return PngFolder(path)
    return video_file(path, frames.fps, Path(source) if sound and Path(source).is_file() else None, frames.aspect)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) or not path.suffix  # a name may be too long for Path.is_dir


def _check(source: str, output: str | None, masks: str | Path | None) -> None:
    """Raise UserError, before any work, for what could only fail later."""
    if output is None and masks is None:
        raise UsageError("nothing to do: give --output, --masks or both")
    if output is not None and output != WINDOW and not _is_folder(path := Path(output)):
        if path.suffix.lower() not in CONTAINERS:
            raise UsageError(f"--output {path}: wanted a video ({', '.join(CONTAINERS)}), a folder or {WINDOW}")
        check_name(output)
        check_output(path, source)
    for folder in (output if output and output != WINDOW and _is_folder(Path(output)) else None, masks):
        if folder is not None:
            check_folder(Path(folder))


def check_output(path: Path, source: str) -> None:
    """Raise UserError if a file can't be written at `path`, or is the source."""
    if real(path) == real(Path(source)):
        raise UsageError(f"{path} is the input: write to another file")
    check_writable(path)
