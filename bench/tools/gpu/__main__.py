"""Everything that needs a GPU, in one command: tested, measured, recorded, without a download.

python -m cgnet_deploy.bench.tools.gpu                    make gpu
python -m cgnet_deploy.bench.tools.gpu --part 1024x2048x1 --limit 300 --out results

Each part runs in a process of its own that is ended when its time is up, and writes its record when it is done: what
comes after a part that fails, or a machine that goes away, loses nothing of what came before.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cgnet_deploy
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.tools.gpu.contenders import gpu_missing
from cgnet_deploy.bench.tools.gpu.job import Job, write_job
from cgnet_deploy.bench.tools.gpu.parts import PARTS, Part
from cgnet_deploy.bench.tools.gpu.rows import Result, read_record, table, write_record
from cgnet_deploy.child import program
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.errors import CgnetError, EngineUnavailable, UserError
from cgnet_deploy.places import check_writable
from cgnet_deploy.terminal import Parser, run

log = logging.getLogger(__name__)

RUN_PART = program("cgnet_deploy.bench.tools.gpu.parts")
LIMIT_S = 525.0
SHIPPED = Path(cgnet_deploy.__file__).parent / "weights" / "camvid.pth"
SPARE_S = 5.0  # between a part's own end and the one that is made for it


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all that is installed ran, 1 a part failed, 2 usage, 5 no NVIDIA GPU."""

    def command(args: argparse.Namespace) -> int:
        prove(args.part or [], args.out, args.files, args.ckpt, args.data, args.limit)
        return 0

    return run(parser(), command, argv)


def parser() -> Parser:
    parser = Parser(
        "python -m cgnet_deploy.bench.tools.gpu", "Test, measure and record everything that needs an NVIDIA GPU."
    )
    add = parser.add_argument
    names = [part.name for part in PARTS]
    add("--part", action="append", choices=names, metavar="NAME", help=f"only this one (repeat): {', '.join(names)}")
    add("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="of the records (default: %(default)s)")
    add("--files", type=Path, default=Path("demo/gpu"), metavar="DIR", help="of ONNX files and plans (%(default)s)")
    add("--ckpt", type=Path, default=SHIPPED, metavar="FILE", help="the network (default: the shipped CamVid one)")
    add("--data", default="", metavar="DIR", help="CamVid, for the part training")
    add("--limit", type=_seconds, default=LIMIT_S, metavar="S", help="seconds for all parts (default: %(default)g)")
    return parser


def _seconds(text: str) -> float:
    if not text.isdecimal() or not 10 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer between 10 and 86400 (seconds)")
    return float(text)


def prove(names: Sequence[str], out: Path, files: Path, ckpt: Path, data: str, limit_s: float) -> None:
    """Run the parts of these names (all if none are named), print their rows, and leave their records in `out`."""
    parts = [part for part in PARTS if not names or part.name in names]
    if not ckpt.is_file():
        raise UserError(f"{ckpt} does not exist: name the network to run by --ckpt")
    if why := gpu_missing():
        print(table(absent(parts)))
        raise EngineUnavailable(f"nothing could run: {why}; nothing was recorded")
    for folder in (out, files):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder} can't be made: {error.strerror}") from error
        check_writable(folder / "record.json")
    template = Job(str(out), str(files), str(ckpt), data, find_gpu().name, 0.0)
    rows = all_parts(parts, template, CLOCK.now_s() + limit_s)
    print(table(rows))
    if failed := [f"{part}: {row.subject}" for part, row in rows if row.state == "failed"]:
        raise CgnetError(f"{len(failed)} rows failed, such as {failed[0]}; every record is in {out}")


def absent(parts: Sequence[Part]) -> list[tuple[str, Result]]:
    """What can't run, and why; rows with the same reason in several parts are shown once."""
    places: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        for subject, why in part.subjects().items():
            places.setdefault((subject, why), []).append(part.name)
    return [(_together(names), Result(subject, "not run", why)) for (subject, why), names in places.items()]


def _together(names: Sequence[str]) -> str:
    return f"{names[0]} ... {names[-1]} ({len(names)})" if len(names) > 1 else names[0]


def all_parts(parts: Sequence[Part], template: Job, until: float) -> list[tuple[str, Result]]:
    """Run each within its share of the time: its own limit, and what earlier parts have left over."""
    rows = []
    # Fewer parts than all share the time of all: each has that much more.
    scale = (until - CLOCK.now_s()) / sum(part.limit_s for part in parts)
    for number, part in enumerate(parts):
        later_s = scale * sum(later.limit_s for later in parts[number + 1 :])
        job = replace(template, until=until - later_s - SPARE_S)
        log.info(f"{part.name}: {max(job.left_s, 0):.0f} s at most")
        rows += [(part.name, row) for row in one_part(part, job)]
    return rows


def one_part(part: Part, job: Job, command: Sequence[str] = RUN_PART) -> list[Result]:
    """Run a part to its end, or end it; its rows, from its record. If it left no record, one is written here."""
    record, begin = job.record(part.name), CLOCK.now_s()
    record.unlink(missing_ok=True)  # an older one must not pass for this run's
    with tempfile.TemporaryDirectory(prefix="cgnet-gpu-") as folder:
        write_job(described := Path(folder) / "job.json", job)
        process = subprocess.Popen(
            [*command, part.name, str(described)], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        try:
            code = process.wait(max(job.left_s + SPARE_S, 0.1))
            why = f"its process ended with code {code}" if code >= 0 else f"its process was killed by signal {-code}"
            state = "failed"
        except subprocess.TimeoutExpired:
            why, state = f"stopped after {CLOCK.now_s() - begin:.0f} s, at its time limit", "not run"
        finally:
            _end(process)
    if not record.exists():
        rows = [
            Result(subject, "not run", lacks) if lacks else Result(subject, state, why)  # type: ignore[arg-type]
            for subject, lacks in part.subjects().items()
        ]
        write_record(record, part.name, job.gpu, rows, CLOCK.now_s() - begin, describe(1, ("gpu", part.name)))
    return read_record(record)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and what it has started in its session; engines have sessions of their own and end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
