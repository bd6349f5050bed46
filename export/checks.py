"""Arguments of an export that make no sense, refused before any work. Messages name the flag of the command."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.calibration_data import LEAST_FRAMES
from cgnet_deploy.lookup import no_file
from cgnet_deploy.places import check_writable, real
from cgnet_deploy.spec import Precision

MAX_CALIBRATION = 4096
MAX_STEPS = 100_000


def check_outputs(ckpt: Path, *outputs: Path | None) -> None:
    """Raise UserError, before any work, if an output could not be written or would replace another file of the run."""
    paths = [path for path in outputs if path]
    if len({real(path) for path in (ckpt, *paths)}) <= len(paths):
        raise UsageError("--ckpt, --onnx, --engine, --json and --calib-cache must be different files")
    for path in paths:
        check_writable(path)


def check_int8(
    precision: Precision,
    calib_data: str | Path | None,
    calib_images: int,
    calib_cache: Path | None,
    exclude: str | None,
    distill: int,
) -> None:
    int8 = precision is Precision.INT8
    for option, value in (("--calib-data", calib_data), ("--calib-cache", calib_cache), ("--exclude", exclude)):
        if value is not None and not int8:
            raise UsageError(f"{option} needs --int8")
    if distill and (not int8 or calib_data is None):
        raise UsageError("--distill needs --int8 and frames: --calib-data DIR")
    in_range("--distill", distill, 0, MAX_STEPS)
    if int8 and calib_data is None and calib_cache is None:
        raise UsageError("--int8 needs frames to calibrate on: --calib-data DIR, or an earlier run's --calib-cache")
    if calib_data is None and calib_cache is not None and (problem := no_file(calib_cache)):
        raise UsageError(f"--calib-cache {calib_cache} {problem}: --calib-data DIR makes it")
    if exclude is not None:
        try:
            re.compile(exclude)
        except re.error as error:
            raise UsageError(f"--exclude {exclude!r} is no regular expression: {error}") from None
    in_range("--calib-images", calib_images, LEAST_FRAMES, MAX_CALIBRATION)


def check_max_drop(precision: Precision, max_drop: float | None, data: str | Path | None) -> None:
    if max_drop is None:
        return
    if precision is Precision.F32 or data is None:
        raise UsageError("--max-drop needs --fp16 or --int8, and labelled frames: --data")
    in_range("--max-drop", max_drop, 0, 100)


def in_range(option: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:  # NaN is in no range
        raise UsageError(f"{option} {value:g}: must be between {least} and {most}")


def one_of(option: str, word: object, words: Iterable[object]) -> object:
    """`word`, or UsageError if it is none of `words`."""
    if word not in words:
        known = ", ".join(str(one) for one in words if one is not None)
        raise UsageError(f"{option} {word}: must be one of {known}")
    return word
