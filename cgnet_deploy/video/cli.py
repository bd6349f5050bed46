"""cgnet-video: a video, a folder, a camera or a stream in; overlays, masks or both out.

cgnet-video --engine cgnet.plan --input drive.mp4 --output overlay.mp4
cgnet-video --engine cgnet.onnx --input 0 --output window
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2

from cgnet_deploy.engines.open import ON_CPU, backend_and_path
from cgnet_deploy.errors import UsageError
from cgnet_deploy.files import check_writable, replacing
from cgnet_deploy.interrupts import caught_interrupts
from cgnet_deploy.terminal import Parser, integer, number, res_argument, run
from cgnet_deploy.threads import cores
from cgnet_deploy.video.job import process
from cgnet_deploy.video.paint import Painter
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.sink import Folder, Sink, Window
from cgnet_deploy.video.source import Source, is_live, open_source
from cgnet_deploy.video.videofile import CONTAINERS, video_file

WINDOW = "window"
MAX_FPS = 1000.0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, cut or vanished, 2 usage or bad input, 5 can't run here, 128 + n by signal n."""
    return run(parser(), _video, argv)


def parser() -> Parser:
    result = Parser("cgnet-video", "Segment a video: overlays as a video, pictures or a window, masks as PNG files.")
    add = result.add_argument
    add("--engine", required=True, metavar="FILE", help="as of cgnet-bench: .plan, .onnx, .pth, openvino:cgnet.onnx")
    add(
        "--input",
        required=True,
        metavar="FILE|DIR|CAMERA|URL",
        help="a video, a folder of pictures, a camera's number or device, or a URL such as rtsp://",
    )
    add(
        "--output",
        metavar="FILE|DIR|window",
        help="overlays, as a video (.mp4, .m4v, .mov, .mkv, .avi), as PNG files in a folder, or in a window",
    )
    add("--masks", type=Path, metavar="DIR", help="write each frame's labels as an 8-bit grey PNG: 000000.png, ...")
    add("--overlay", type=number(0, 1), default=0.5, metavar="A", help="0 shows the frame, 1 the labels (default 0.5)")
    add("--classes", default="", metavar="NAME,...", help="show only these classes")
    add("--no-legend", action="store_true", help="no strip of colours and names below the picture")
    add(
        "--fps",
        type=number(0.1, MAX_FPS),
        metavar="N",
        help="frames per second instead of the input's own (a folder's is 25); sound is then left out",
    )
    add("--live", action="store_true", help="play a file as a camera would: frames that come too fast are dropped")
    add("--limit", type=integer(1, 10**9), metavar="N", help="end after N frames")
    add("--res", type=res_argument, metavar="HxW", help="pixels, of an engine that leaves its size open (the frame's)")
    add(
        "--threads", type=integer(1, 1024), default=cores(), metavar="N", help="CPU threads (default: all, %(default)s)"
    )
    add(
        "--engines",
        type=integer(1, 64),
        metavar="N",
        help="inferences at a time, which share the threads (default: 2 of a file on a CPU, else 1)",
    )
    add("--contract", metavar="NAME", help="input contract of an engine that has none of its own")
    add("--json", type=Path, metavar="FILE", help="write frames, frames per second and latencies")
    return result


def _video(given: argparse.Namespace) -> int:
    _check(given)
    # What OpenCV and FFmpeg have to say of a bad file is said in one line of ours.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.setNumThreads(1)  # the other cores are the engine's
    with ExitStack() as stack:
        live = given.live or is_live(given.input)
        engines = given.engines or default_engines(given.engine, given.threads, live=live)
        threads = max(1, given.threads // engines)
        segmenter = stack.enter_context(
            Segmenter(given.engine, res=given.res, threads=threads, contract=given.contract, engines=engines)
        )
        # After the engine: a camera need not run for one that is missing.
        source = open_source(given.input, live=given.live, fps=given.fps)
        classes = [name.strip() for name in given.classes.split(",") if name.strip()]
        painter = Painter(segmenter.info.spec, given.overlay, classes, legend=not given.no_legend)
        interrupts = stack.enter_context(caught_interrupts())
        outcome = process(
            source,
            segmenter,
            paint=painter,
            overlays=_overlays(given, source),
            masks=Folder(given.masks) if given.masks else None,
            limit=given.limit,
            stopped=lambda: interrupts.received is not None,
        )
        signal = interrupts.received
    print("\n".join(outcome.lines()))
    if given.json:
        info = segmenter.info
        told = {
            "schema": 1,
            "input": source.name,
            "engine": given.engine,
            "backend": info.backend,
            "provider": info.provider,
            "precision": info.precision.value,
            "sha256": info.sha256,
            "complete": signal is None and source.trouble is None,
            **outcome.to_json(),
        }
        with replacing(given.json) as temporary:
            temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if signal is not None:
        return 128 + signal
    if source.trouble is not None:  # what came before it is written
        raise source.trouble
    return 0


def default_engines(ref: str, threads: int, *, live: bool) -> int:
    """How many engines serve a source best.

    Two on a CPU, each with half of the threads: one thread of an engine waits for the others after every layer, so
    that whatever decodes, paints or encodes on a core of one halts them all. Not of a live source: a frame takes
    longer that way. A GPU does one inference after the other.
    """
    backend, _ = backend_and_path(ref)
    return 2 if backend in ON_CPU and not live and threads % 2 == 0 else 1


def _overlays(given: argparse.Namespace, source: Source) -> Sink | None:
    """Where the painted pictures go."""
    if given.output is None:
        return None
    if given.output == WINDOW:
        return Window(f"cgnet-video {source.name}")
    path = Path(given.output)
    if _is_folder(path):
        return Folder(path)
    heard = Path(given.input) if Path(given.input).is_file() and given.fps is None else None
    return video_file(path, source.fps, heard)


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix


def _check(given: argparse.Namespace) -> None:
    """Raise UserError, before any work, for what could only fail later."""
    if given.output is None and given.masks is None:
        raise UsageError("nothing to do: give --output, --masks or both")
    files = [given.json] if given.json else []
    if given.output not in (None, WINDOW) and not _is_folder(path := Path(given.output)):
        if path.suffix.lower() not in CONTAINERS:
            raise UsageError(f"--output {path}: wanted a video ({', '.join(CONTAINERS)}), a folder or {WINDOW}")
        files.append(path)
    for path in files:
        if path.resolve() == Path(given.input).resolve():
            raise UsageError(f"{path} is the input: write to another file")
        check_writable(path)


if __name__ == "__main__":
    sys.exit(main())
