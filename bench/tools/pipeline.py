"""Complete video pipelines, file in and overlay file out, beside their engine alone: in turn, in one run.

python -m cgnet_deploy.bench.tools.pipeline --engine openvino:cgnet.onnx --data DIR --program build/cgnet_video

    round: engine, cgnet-video, engine, cgnet_video, engine, ...        engine: cgnet-bench's boundary e2e

A pipeline's ratio is its rate over the mean of the engine's before and after it, so that a machine that slows down
slows both. `ratio_to_best` is the pipeline's median rate over the engine's fastest round of all: a virtual machine
whose cores lie far apart for a while halves the rate of two threads on one frame, but hardly that of two frames at a
time.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.machine.readings import here
from cgnet_deploy.bench.measure.rounds import ROUNDS, first_inference, load, take_round
from cgnet_deploy.bench.measure.run import first_frames
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.child import program
from cgnet_deploy.data.dataset import Dataset, fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import backend_and_path
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_json
from cgnet_deploy.places import check_writable
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, integer, number, run
from cgnet_deploy.threads import cores
from cgnet_deploy.video.videofile import video_file

log = logging.getLogger(__name__)

PYTHON, CPP = "cgnet-video", "cgnet_video"
CLIP_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames per second of each round; `before` and `after` are the engine's own, right before and after."""

    fps: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [2 * own / (one + two) for own, one, two in zip(self.fps, self.before, self.after, strict=True)]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-bench; 1 too if a pipeline fails."""
    words = list(sys.argv[1:] if argv is None else argv)

    def command(args: argparse.Namespace) -> int:
        options = {name: value for name, value in vars(args).items() if name != "log_level"}
        compare(Options(**options), words)
        return 0

    return run(parser(), command, words)


@dataclass(frozen=True, slots=True)
class Options:
    """As of `parser`."""

    engine: str
    data: str | None
    split: str
    program: Path | None
    frames: int
    rounds: int
    seconds: float
    threads: int
    json: Path | None


def parser() -> Parser:
    result = Parser(
        "python -m cgnet_deploy.bench.tools.pipeline", "Rates of video pipelines beside their engine, in turn."
    )
    add = result.add_argument
    add("--engine", required=True, metavar="FILE", help="of a fixed size, as of cgnet-bench")
    add("--data", metavar="DIR", help="frames for the video (default: drawn scenes)")
    add("--split", default="val", metavar="S", help="default %(default)s")
    add("--frames", type=integer(30, 100_000), default=303, metavar="N", help="of the video (default %(default)s)")
    add("--program", type=Path, metavar="FILE", help="cgnet_video, of C++: run too, where it can run the engine")
    add("--rounds", type=integer(1, 1000), default=8, metavar="N", help="default %(default)s")
    add(
        "--seconds",
        type=number(0.1, 600),
        default=2.0,
        metavar="S",
        help="of the engine, each time (default %(default)s)",
    )
    add("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="default %(default)s")
    add("--json", type=Path, metavar="FILE")
    return result


def compare(options: Options, words: list[str]) -> None:
    """Print the rates, and write them as JSON if there is a path for it."""
    if options.json:
        check_writable(options.json)
    # take_round shares these seconds out over its rounds.
    settings = Settings((options.engine,), ("e2e",), options.threads, least_s=options.seconds * ROUNDS, least_samples=1)
    dataset = open_dataset(options.data, options.split) if options.data else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cgnet-pipeline-")))
        engine = load(stack, settings, options.engine, here())
        res = engine.info.res
        np.save(still := folder / "frames.npy", first_frames(dataset, res, engine.info.batch))
        first_inference(engine, still)
        write_clip(clip := folder / "in.mp4", dataset or open_dataset(f"scenes:0:{res}", "val"), res, options.frames)
        log.info(f"{options.frames} frames of {res.spelled()}, {options.threads} threads, {options.rounds} rounds")

        def alone() -> float:
            taken = take_round(engine, settings, "e2e", still, first=not rates_alone).round
            rates_alone.append(len(taken.samples_ns) * engine.info.batch / (taken.window_ns / 1e9))
            return rates_alone[-1]

        rates_alone: list[float] = []
        pipelines = {name: (pipeline, Rates()) for name, pipeline in pipelines_of(options, clip).items()}
        latest = alone()
        for _ in range(options.rounds):
            for name, (pipeline, rates) in pipelines.items():
                rates.before.append(latest)
                rates.fps.append(pipeline())
                rates.after.append(latest := alone())
                log.info(f"{name} {rates.fps[-1]:.1f} frames/s, the engine {rates.before[-1]:.1f} and {latest:.1f}")
    results = {name: summary(rates, max(rates_alone)) for name, (_, rates) in pipelines.items()}
    print(f"{options.engine} alone: {spelled(rates_alone)} frames/s")
    for name, each in results.items():
        _, rates = pipelines[name]
        print(
            f"{name}: {spelled(rates.fps)} frames/s; of the engine's rate {spelled(rates.ratios, 3)}, "
            f"of its best round's {each['ratio_to_best']:.3f}"
        )
    if options.json:
        environment = asdict(describe(options.threads, ("python", "-m", "cgnet_deploy.bench.tools.pipeline", *words)))
        content = {
            "schema": 1,
            "environment": environment,
            "engine": options.engine,
            "sha256": engine.info.sha256,
            "res": list(res),
            "frames": options.frames,
            "engine_fps": rates_alone,
            "pipelines": results,
        }
        write_json(options.json, content)


def write_clip(path: Path, dataset: Dataset, res: Res, frames: int) -> None:
    """H.264 of the data set's frames, there and back again until there are enough: no cut in between."""
    there = [*range(len(dataset)), *range(len(dataset) - 2, 0, -1)]
    with video_file(path, CLIP_FPS, None) as write:
        for number in range(frames):
            write(fit_frame(dataset.frame(there[number % len(there)]), res), number, number / CLIP_FPS)


def pipelines_of(options: Options, clip: Path) -> dict[str, Callable[[], float]]:
    """What runs `clip` once and gives its frames per second, by name."""
    threads = ["--threads", str(options.threads)]

    def python() -> float:
        result = clip.with_name("result.json")
        command = [*program("cgnet_deploy.video.cli"), "--engine", options.engine, "--input", str(clip)]
        ran([*command, "--output", str(clip.with_name("python.mp4")), "--json", str(result), *threads])
        return float(json.loads(result.read_text())["fps"])

    def cpp() -> float:
        command = [str(options.program), "--engine", str(path), "--input", str(clip)]
        out = ran([*command, "--output", str(clip.with_name("cpp.mp4")), *threads])
        return float(re.findall(r"([\d.]+) frames/s", out)[0])

    backend, path = backend_and_path(options.engine)
    if not options.program:
        return {PYTHON: python}
    if backend.name not in ("openvino", "trt"):
        log.info(f"{CPP} is left out: it can't run {backend.title}")
        return {PYTHON: python}
    return {PYTHON: python, CPP: cpp}


def ran(command: list[str]) -> str:
    """The standard output of a command. Raises CgnetError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CgnetError(f"{command[0]} ended with code {done.returncode}: {''.join(done.stderr.splitlines()[-1:])}")
    return done.stdout


def summary(rates: Rates, best_alone: float) -> dict[str, Any]:
    return {
        **asdict(rates),
        "ratio": statistics.median(rates.ratios),
        "ratio_low": min(rates.ratios),
        "ratio_high": max(rates.ratios),
        "ratio_to_best": statistics.median(rates.fps) / best_alone,
    }


def spelled(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the smallest and the largest."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


if __name__ == "__main__":
    raise SystemExit(main())
