"""The best file for this machine, from Python: exported, timed, proven and shown.

    import cgnet_deploy as cg

    tuned = cg.tune("model.pth", "camvid", max_drop=0.1, out="tuned")
    print(tuned.summary())
    engine = cg.open_engine(tuned.winner.engine, threads=tuned.winner.threads)

`cgnet-tune` is the flags of this one call.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.measure.checks import check_boundaries, check_least
from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.checkpoint.unparsed import read_unparsed
from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import check_classes, scored_images
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.request import Hints
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.export.calibration_data import LEAST_FRAMES, calibration_frames
from cgnet_deploy.places import check_folder, check_writable, make_folder
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.tuning.candidates import candidates, thread_counts, why_not
from cgnet_deploy.tuning.kept import Tuned
from cgnet_deploy.tuning.limits import Limits
from cgnet_deploy.tuning.make import Maker
from cgnet_deploy.tuning.pool import engine_process
from cgnet_deploy.tuning.session import Session
from cgnet_deploy.tuning.state import SCHEMA, State, asked_in_words, earlier, resumed
from cgnet_deploy.tuning.trial import Trial

log = logging.getLogger(__name__)

RACE_S, RACE_SAMPLES = 3.0, 60  # of ten rounds, as Settings count; a race has six
WARMUP_MS = 100.0


def tune(
    ckpt: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    limit: int | None = None,
    max_drop: float = 0.1,
    target_ms: float | None = None,
    max_size_mib: float | None = None,
    res: Res | str | None = None,
    batch: int = 1,
    threads: int | None = None,
    boundary: Boundary = "e2e",
    fps: float | None = None,
    only: str | None = None,
    time_min: float | None = None,
    calib_data: str | Path | None = None,
    calib_images: int = 128,
    contract: str | None = None,
    weights: str | None = None,
    out: str | Path = "tuned",
    command: tuple[str, ...] = (),
) -> Tuned:
    """Export a checkpoint in every form that this machine can run, and find the fastest that is accurate enough.

    data, split, limit    labelled frames, on which the mIoU of what is fast is measured: on at most so many
    max_drop       points of mIoU (0 to 100) that the file may be below the checkpoint in PyTorch
    target_ms      the p50 that is wanted, in ms
    max_size_mib   of the file
    res, batch     default: the checkpoint's size, and 1
    threads        of CPU engines; default: all cores, and half of them where two share a physical one
    boundary, fps  what is timed: see `benchmark`
    only           a regular expression: candidates whose name it doesn't match are left out
    time_min       stop trying further candidates in time to be done after so many minutes
    calib_data, calib_images    frames that int8 is calibrated on; default: the train split of `data`
    contract       of a checkpoint that has none of its own
    weights        which of a checkpoint's sets of weights: see `load_checkpoint`
    out            folder for cgnet.onnx, cgnet.plan or cgnet.pth, tune.json, report.html and the files tried; a run
                   that was killed goes on from it
    command        what to record as the command that was run

    Raises UserError for arguments and files that can't be used; AccuracyError if nothing is within `max_drop`, and
    PerformanceError if nothing is within `target_ms` or `max_size_mib`: the best is then in `out` as
    cgnet.missed.onnx. On KeyboardInterrupt the best so far is there, if anything was timed.
    """
    check_boundaries([boundary], fps)
    if not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop {max_drop}: must be between 0 and 100 points")
    check_least(
        {
            "--batch": (batch, 1),
            "--threads": (threads, 1),
            "--limit": (limit, 1),
            "--time": (time_min, 0.01),
            "--target-ms": (target_ms, 0.001),
            "--max-size": (max_size_mib, 0.001),
            "--calib-images": (calib_images, LEAST_FRAMES),
        }
    )
    try:
        re.compile(only or "")
    except re.error as error:
        raise UsageError(f"--only {only!r} is no regular expression: {error}") from None
    out = Path(out)
    check_folder(out)
    read_unparsed(Path(ckpt))  # before torch is imported, for a quick answer where it can't be used
    for package, extra in (("torch", "export"), ("onnx_ir", "export"), ("onnx", "export")):
        require(package, extra)
    from cgnet_deploy.checkpoint.reading import load_checkpoint

    size = None if res is None else Res.of(res)
    checkpoint = load_checkpoint(ckpt, contract=contract, res=size, weights=weights)
    spec = checkpoint.spec
    size = size or spec.input.res
    dataset = open_dataset(str(data), split)
    check_classes(dataset, spec.classes)
    images = min(len(dataset), limit or len(dataset))
    scored_images(dataset, range(images))
    make_folder(files := out / "files")
    check_writable(out / "tune.json")
    counts = (threads,) if threads else thread_counts()
    table = ClassTable(spec.class_names, spec.palette, spec.ignore_label)
    settings = Settings(
        engines=(),
        boundaries=(boundary,),
        threads=counts[0],
        res=size,
        batch=batch,
        fps=fps,
        data=str(data),
        split=split,
        limit=images,
        warmup_ms=WARMUP_MS,
        least_s=RACE_S,
        least_samples=RACE_SAMPLES,
        hints=Hints(contract, table, spec.input.mean, spec.input.std, spec.input.color, weights=weights),
    )
    calibration = ("--calib-data", str(calib_data or data), "--calib-images", str(calib_images))
    common = ("--ckpt", str(ckpt), *(("--weights", weights) if weights else ()))
    common += (*(("--contract", contract) if contract else ()), "--res", str(size))
    common += ("--batch", str(batch), "--data", str(data), "--split", split)
    here = describe(settings.threads, command or tuple(sys.argv))
    asked = asked_in_words(
        here, {"sha256": checkpoint.sha256, "flags": common, "calibration": calibration, "settings": settings}
    )
    found, left_out = candidates(counts, only, why_not)
    if not found:
        reasons = "; ".join(f"{one.backend}: {one.why}" for one in left_out)
        raise UsageError(f"nothing can be tried here{f' that --only {only} matches' if only else ''}: {reasons}")
    if calib_data and any(candidate.variant.precision is Precision.INT8 for candidate in found):
        calibration_frames(str(calib_data), calib_images, size)  # now, and not when the first int8 file is made
    known = earlier(out / "tune.json", asked)
    trials = [resumed(known, candidate, files) if known else Trial(candidate) for candidate in found]
    made = {trial.candidate.variant for trial in trials if trial.sha256}
    if known:
        log.info(f"going on from {out / 'tune.json'}: {sum(trial.fate != 'waiting' for trial in trials)} are known")
    session = Session(
        out,
        settings,
        Maker(Path(ckpt), common, calibration, files, made),
        Limits(max_drop, target_ms, max_size_mib),
        State(SCHEMA, asked, here, left_out, tuple(trials), known.base if known else None),
        time_min,
        engine_process,
    )
    return session.run()
