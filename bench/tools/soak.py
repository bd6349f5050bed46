"""Does memory stay where it is? Frames through one `Segmenter`, by stream and by call, and the resident size.

python -m cgnet_deploy.bench.tools.soak --engine cgnet.onnx --frames 20000
python -m cgnet_deploy.bench.tools.soak --engine cgnet.onnx --frames 20000 --program build/cgnet_video

With --program a video of so many frames goes through cgnet_video, of C++: read, segmented, painted, written.

The growth that counts is that of the last quarter: from the mean of its first tenth to the mean of its last.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import backend_and_path
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.memory import resident_mib
from cgnet_deploy.pixels import U8
from cgnet_deploy.terminal import Parser, integer, number, run
from cgnet_deploy.threads import cores
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.videofile import video_file

log = logging.getLogger(__name__)

LOOK_S = 0.02  # between two looks at the memory of another process
DRAWN = 16  # different frames, gone through again and again
EVERY = 20  # frames between two looks at the memory


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 memory stays, 1 it grows, and as of cgnet-bench."""

    def command(args: argparse.Namespace) -> int:
        soak(args.engine, args.frames, args.threads, program=args.program, most_percent=args.most)
        return 0

    return run(parser(), command, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.soak", "Watch the resident memory over many frames.")
    parser.add_argument("--engine", required=True, metavar="FILE")
    parser.add_argument("--program", type=Path, metavar="FILE", help="watch this cgnet_video instead of Segmenter")
    parser.add_argument("--frames", type=integer(400, 10**9), default=20_000, metavar="N", help="default %(default)s")
    parser.add_argument("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="default %(default)s")
    parser.add_argument("--most", type=number(0, 100), default=1.0, metavar="PERCENT", help="of growth (default 1)")
    return parser


def soak(engine: str, count: int, threads: int, *, program: Path | None = None, most_percent: float = 1.0) -> None:
    """Raises CgnetError if memory grows by `most_percent` or more over the last quarter of `count` frames."""
    with Segmenter(engine, threads=threads) as segmenter:
        res = segmenter.info.res
        scenes = open_dataset(f"scenes:0:{res}", "val")
        frames = [scenes.frame(i) for i in range(DRAWN)]
        how = f"by {program}" if program else "half of them in a stream"
        log.info(f"{count} frames of {res.spelled()} through {engine}, {how}")
        if not program:
            looks_mib = list(watched(segmenter, frames, count))
    if program:
        looks_mib = list(watched_program(program, engine, threads, frames, count))
    growth = growth_percent(looks_mib)
    quarters = ", ".join(f"{part.mean():.1f}" for part in np.array_split(looks_mib, 4))
    print(f"{count} frames: resident MiB by quarter {quarters}; the last quarter grew by {growth:.3f} %")
    if growth >= most_percent:
        raise CgnetError(f"memory grows: {growth:.3f} % in the last quarter, wanted less than {most_percent:g} %")


def watched(segmenter: Segmenter, frames: Sequence[U8], count: int) -> Iterator[float]:
    """Resident MiB after every so many of `count` frames, of which every second lot is streamed."""

    def endless() -> Iterator[U8]:
        while True:
            yield from frames

    source = endless()
    for lot in range(count // EVERY):
        part = islice(source, EVERY)
        if lot % 2:
            for _ in segmenter.stream(part):
                pass
        else:
            for frame in part:
                segmenter.segment(frame)
        yield resident_mib()


def watched_program(program: Path, ref: str, threads: int, frames: Sequence[U8], count: int) -> Iterator[float]:
    """Resident MiB of cgnet_video, again and again while a video goes through it. Raises CgnetError if it fails."""
    with tempfile.TemporaryDirectory(prefix="cgnet-soak-") as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        with video_file(source, 25.0, None) as write:
            for index, frame in enumerate(islice(cycle(frames), count)):
                write(frame, index, index / 25)
        _, engine = backend_and_path(ref)
        command = [str(program), "--engine", str(engine), "--input", str(source), "--output", str(target)]
        with subprocess.Popen([*command, "--threads", str(threads)], stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                if mib := resident_mib(process.pid):  # of a process that has just ended it is 0
                    yield mib
                CLOCK.sleep(LOOK_S)
            said = process.communicate()[0]
        if process.returncode or not said.startswith(f"{count} frames of "):
            raise CgnetError(f"{program} ended with code {process.returncode} and: {said.strip()}")
        log.info(said.strip())


def growth_percent(looks_mib: Sequence[float]) -> float:
    """Of the last quarter, from its first tenth to its last tenth; negative where memory was given back."""
    quarter = np.array_split(np.asarray(looks_mib), 4)[-1]
    tenth = max(len(quarter) // 10, 1)
    return float(100 * (quarter[-tenth:].mean() / quarter[:tenth].mean() - 1))


if __name__ == "__main__":
    raise SystemExit(main())
