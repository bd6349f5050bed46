"""The parts of the GPU run, in order, each with its time, and what it does; each runs in a process of its own.

python -m cgnet_deploy.bench.tools.gpu.parts NAME JOB.json        (started by __main__.py, which ends it in time)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.tools.gpu import suite
from cgnet_deploy.bench.tools.gpu.cell import BOUNDARIES, THREADS, run_cell, subject
from cgnet_deploy.bench.tools.gpu.contenders import CELLS, CONTENDERS, HEADLINE, Cell, gpu_missing, missing
from cgnet_deploy.bench.tools.gpu.files import make
from cgnet_deploy.bench.tools.gpu.ideal import Ideal
from cgnet_deploy.bench.tools.gpu.job import Job, read_job
from cgnet_deploy.bench.tools.gpu.rows import Result, read_record, write_record
from cgnet_deploy.child import program
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.errors import CgnetError, EngineUnavailable, MissingPackage, last_line, one_line, require
from cgnet_deploy.terminal import guarded

TRAINING_STEPS = 200


def environment(job: Job) -> list[Result]:
    """The GPU, its driver, and the packages."""
    fields = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem,mig.mode.current"
    reported = _lines(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], job.left_s - 2)
    packages = describe(THREADS, ()).packages
    return [
        Result("GPU", "ran", job.gpu, {"nvidia-smi": reported, "fields": fields}),
        Result("packages", "ran", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]


def copy(job: Job) -> list[Result]:
    """The rate that turns the bytes of every floor into a time."""
    require("torch", extra="export")
    from cgnet_deploy.bench.tools.gpu.copyrate import COPY_BYTES, copy_bytes_per_s

    rate = copy_bytes_per_s()
    shown = f"{rate / 1e12:.2f} TB/s read and written, {COPY_BYTES >> 20} MiB at a time"
    return [Result("copy within the GPU's memory", "ran", shown, {"bytes_per_s": rate})]


def matrix(cell: Cell, job: Job) -> list[Result]:
    """One size and batch; its files are made first where they are missing, in half of the time at most."""
    made = make(cell, Path(job.ckpt), Path(job.files), CLOCK.now_s() + job.left_s / 2)
    reasons = {row.subject: row.outcome for row in made if row.state != "ran"}
    ideal = Ideal.of(Path(job.ckpt), _rate(job))
    return run_cell(cell, Path(job.ckpt), Path(job.files), reasons, ideal, job.until) + made


def _rate(job: Job) -> float | None:
    rows = [row for row in read_record(job.record("copy")) if "bytes_per_s" in row.details]
    return float(rows[0].details["bytes_per_s"]) if rows else None


def profile(job: Job) -> list[Result]:
    """The time of each layer of the fastest at the headline's size."""
    timed = [row for row in read_record(job.record(str(HEADLINE))) if row.details.get("boundary") == BOUNDARIES[0]]
    if not timed:
        return [Result(PROFILED, "not run", f"nothing was timed at {HEADLINE}: run --part {HEADLINE} first")]
    skipped: list[str] = []
    for best in sorted(timed, key=lambda row: float(row.details["p50_ms"])):
        who = next(who for who in CONTENDERS if subject(who, BOUNDARIES[0]) == best.subject)
        out = job.record("layers")
        command = [
            *program("cgnet_deploy.bench.cli"),
            *("--engine", who.engine(Path(job.ckpt), Path(job.files), HEADLINE)),
            *("--res", str(HEADLINE.res), "--batch", str(HEADLINE.batch), "--boundary", "device"),
            *("--duration", "1", "--profile", "--json", str(out)),
        ]
        ended = _ended(command, job.left_s - 2)
        if not ended.returncode:
            outcome = f"{best.subject}: {out.name}" + "".join(f"; not of {text}" for text in skipped)
            return [Result(PROFILED, "ran", outcome, {"table": ended.stdout.splitlines()})]
        skipped.append(f"{best.subject}: {last_line(ended.stderr)}")
    return [Result(PROFILED, "failed", "; ".join(skipped))]


PROFILED = f"layers of the fastest at {HEADLINE}"
TRAINED = {"f32": (), "f16": ("amp=true",), "f16, captured": ("amp=true", "captured=true")}


def training(job: Job) -> list[Result]:
    """Images a second with all data on the device, plain and captured."""
    if not job.data:
        return [Result(f"training, {name}", "not run", "needs CamVid: --data DIR") for name in TRAINED]
    rows = []
    for number, (name, changes) in enumerate(TRAINED.items()):
        out = Path(job.files) / f"training-{number}-{time.time_ns()}"
        minutes = max(job.left_s - 6, 1) / 60 / (len(TRAINED) - number)
        settings = [part for change in (*changes, "validate_every=100000") for part in ("--set", change)]
        command = [
            *program("cgnet_deploy.train.cli"),
            *("--recipe", "camvid", "--data", job.data, "--out", str(out), "--device", "cuda"),
            *("--iterations", str(TRAINING_STEPS), "--time-limit", f"{minutes:.3f}"),
            *settings,
        ]
        ended = _ended(command, job.left_s - 2)
        if ended.returncode:
            rows.append(Result(f"training, {name}", "failed", last_line(ended.stderr)))
            continue
        speeds = images_per_s(out / "log.jsonl")
        if not speeds:
            rows.append(Result(f"training, {name}", "not run", "stopped before it had timed 10 steps"))
            continue
        outcome = f"{max(speeds):.0f} images/s at best, {speeds[-1]:.0f} at last"
        rows.append(Result(f"training, {name}", "ran", outcome, {"img_per_s": speeds}))
    return rows


def images_per_s(log: Path) -> list[float]:
    """Of each interval that a training run has logged."""
    try:
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    return [float(entry["img_per_s"]) for entry in entries if "img_per_s" in entry]


def _ended(command: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=max(limit_s, 1)
    )


def _lines(command: Sequence[str], limit_s: float) -> list[str]:
    try:
        return _ended(command, limit_s).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        return [one_line(error)]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the run. limit_s: its share of the time; what earlier parts leave is added. subjects: of its rows,
    each with what it lacks here besides a GPU.
    """

    name: str
    limit_s: float
    work: Callable[[Job], list[Result]]
    subjects: Callable[[], dict[str, str]]


def _cell_part(cell: Cell, limit_s: float) -> Part:
    def lacks() -> dict[str, str]:
        return {subject(who, boundary): missing(who) for who in CONTENDERS for boundary in BOUNDARIES}

    return Part(str(cell), limit_s, lambda job: matrix(cell, job), lacks)


def _without_gpu(*subjects: str) -> Callable[[], dict[str, str]]:
    return lambda: dict.fromkeys(subjects, gpu_missing())


PARTS = (
    Part("environment", 15, environment, _without_gpu("GPU")),
    Part("copy", 20, copy, _without_gpu("copy within the GPU's memory")),
    _cell_part(HEADLINE, 160),
    Part("tests", 50, suite.run, _without_gpu(suite.SUBJECT)),
    *(_cell_part(cell, 38 if cell.batch == 1 else 29) for cell in CELLS if cell != HEADLINE),
    Part("profile", 20, profile, _without_gpu(PROFILED)),
    Part("training", 30, training, _without_gpu(*(f"training, {name}" for name in TRAINED))),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one part and write its record. Exit code 0 if it was written, whatever the rows say."""
    name, described = sys.argv[1:] if argv is None else argv
    return guarded(f"gpu {name}", lambda: _main(name, Path(described)))


def _main(name: str, described: Path) -> int:
    part = next(part for part in PARTS if part.name == name)
    job = read_job(described)
    begin = CLOCK.now_s()
    try:
        rows = part.work(job)
    except (MissingPackage, EngineUnavailable) as error:
        rows = [Result(subject, "not run", one_line(error)) for subject in part.subjects()]
    except CgnetError as error:
        rows = [Result(subject, "failed", one_line(error)) for subject in part.subjects()]
    except subprocess.TimeoutExpired as error:
        rows = [Result(subject, "not run", f"stopped after {error.timeout:.0f} s") for subject in part.subjects()]
    write_record(job.record(name), name, job.gpu, rows, CLOCK.now_s() - begin, describe(THREADS, ("gpu", name)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
