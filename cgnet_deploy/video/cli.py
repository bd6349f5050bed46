"""cgnet-video: a video, a folder, a camera or a stream in; overlays, masks or both out.

cgnet-video --engine cgnet.plan --input drive.mp4 --output overlay.mp4
cgnet-video --engine cgnet.onnx --input 0 --output window
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import Signals

from cgnet_deploy.engines import backends
from cgnet_deploy.engines.flags import add_flags
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_json
from cgnet_deploy.interrupts import caught_interrupts
from cgnet_deploy.terminal import Parser, integer, number, res_argument, run, show
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

MAX_FPS = 1000.0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done; 1 failed, or the input broke off; 2 usage or bad input; 5 can't run here; 128 + signal."""
    return run(parser(), _video, argv)


def parser() -> Parser:
    result = Parser("cgnet-video", "Segment a video: overlays as a video, pictures or a window, masks as PNG files.")
    add = result.add_argument
    add("--engine", required=True, metavar="FILE", help=f"what labels the frames. {backends.HELP}")
    add(
        "--input",
        required=True,
        metavar="FILE|DIR|CAMERA|URL",
        help="a video, a picture, a folder, pattern (f%%03d.png, '*.png') or list (.txt) of pictures, a camera's "
        "number or device, or a URL such as rtsp://",
    )
    add(
        "--output",
        metavar="FILE|DIR|window",
        help="overlays, as a video (.mp4, .m4v, .mov, .mkv, .avi), as PNG files in a folder, or in a window",
    )
    add("--masks", type=Path, metavar="DIR", help="write each frame's labels as an 8-bit grey PNG: 000000.png, ...")
    add("--overlay", type=number(0, 1), default=0.5, metavar="A", help="opacity of the labels, 0 to 1 (default 0.5)")
    add("--classes", default="", metavar="NAME,...", help="show only these classes")
    add("--no-legend", action="store_true", help="no strip of colours and names below the picture")
    add(
        "--fps",
        type=number(0.1, MAX_FPS),
        metavar="N",
        help="frames per second instead of the input's own (25 for a folder); sound is then left out",
    )
    add("--live", action="store_true", help="play a file as a camera would: frames that arrive too fast are dropped")
    strict = "exit with 1 where frames of the input are damaged or, by their time stamps, missing"
    add("--strict", action="store_true", help=strict)
    add("--limit", type=integer(1, 10**9), metavar="N", help="stop after N frames")
    text = "size in pixels, height first, where the engine leaves it open (default: the frame's own)"
    add("--res", type=res_argument, metavar="HxW", help=text)
    add("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="CPU threads (default: %(default)s)")
    add(
        "--engines",
        type=integer(1, 64),
        metavar="N",
        help="inferences at a time, which share the threads (default: 2 for a file on a CPU, else 1)",
    )
    add_flags(result, cache=True)
    add("--json", type=Path, metavar="FILE", help="write frames, frames per second and latencies as JSON")
    return result


def _video(args: argparse.Namespace) -> int:
    import cv2

    from cgnet_deploy.video.api import check_output, segment_video
    from cgnet_deploy.video.source import flaws

    # One line of ours says what is wrong with a bad file, instead of what OpenCV and FFmpeg print.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.setNumThreads(1)  # the other cores are the engine's
    if args.json:
        check_output(args.json, args.input)
    with caught_interrupts() as interrupts:
        outcome = segment_video(
            args.engine,
            args.input,
            args.output,
            masks=args.masks,
            alpha=args.overlay,
            classes=[name.strip() for name in args.classes.split(",") if name.strip()],
            legend=not args.no_legend,
            fps=args.fps,
            live=args.live,
            limit=args.limit,
            res=args.res,
            threads=args.threads,
            engines=args.engines,
            contract=args.contract,
            names=args.names,
            mean=args.mean,
            std=args.std,
            color=args.color,
            trust=args.trust,
            weights=args.weights,
            cache=args.cache,
            stopped=lambda: interrupts.received is not None,
        )
    show(outcome.summary(), args.json)
    if args.json:
        write_json(args.json, outcome.to_json())
    if interrupts.received is not None:
        log.warning(f"stopped by {Signals(interrupts.received).name}: the frames so far are written")
        return 128 + interrupts.received
    if outcome.trouble is not None:  # everything before it is written
        raise outcome.trouble
    if args.strict and (lacking := flaws(outcome.missing, outcome.damaged)):
        raise CgnetError(f"{args.input} is damaged: of its frames {lacking}, and --strict was given")
    return 0


if __name__ == "__main__":
    sys.exit(main())
