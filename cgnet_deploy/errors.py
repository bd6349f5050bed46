"""The exception tree. What a user can cause is a `CgnetError` with an exit code; anything else is a bug.

    CgnetError                1  the run failed
    +-- NoSpace                  the disk is full, or a quota is used up
    +-- UserError             2  bad usage or a bad input file
    |   +-- UsageError           the command line, or an argument of the API
    |   +-- CheckpointError      a checkpoint that can't be used
    |   +-- ArtifactError        an ONNX file, a plan or a sidecar that can't be used
    |   +-- DataError            a data set, an image or a label map
    |   +-- FrameError           frames of the wrong type, shape or size
    |   +-- MissingPackage       an optional package that isn't installed
    +-- AccuracyError         3  an accuracy gate failed; nothing that failed it was written
    +-- PerformanceError      4  a performance gate failed
    +-- EngineUnavailable     5  the engine is sound but can't run on this machine

A message is one line: what came, what was wanted, what to do.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from types import ModuleType
from typing import ClassVar

MATPLOTLIB_S = ("~/.config/matplotlib", "~/.cache/matplotlib")


class CgnetError(Exception):
    """The run failed."""

    exit_code: ClassVar[int] = 1


class NoSpace(CgnetError):
    """The disk is full, or a quota is used up: whatever comes next would fail too."""


class UserError(CgnetError):
    """Bad usage, a bad input file or a missing optional package."""

    exit_code = 2


class UsageError(UserError):
    """A flag, or an argument of the API, that makes no sense."""


class CheckpointError(UserError):
    """A checkpoint that can't be used."""


class ArtifactError(UserError):
    """An ONNX file, a plan or a sidecar that can't be used."""


class DataError(UserError):
    """A data set, an image or a label map that can't be used."""


class FrameError(UserError):
    """Frames of the wrong type, shape or size."""


class MissingPackage(UserError):
    """An optional package that isn't installed."""


class AccuracyError(CgnetError):
    """An accuracy gate failed."""

    exit_code = 3


class PerformanceError(CgnetError):
    """A performance gate failed."""

    exit_code = 4


class EngineUnavailable(CgnetError):
    """The engine can't run here: no GPU, another TensorRT version or another architecture."""

    exit_code = 5


def quiet_packages() -> None:
    """Stop what packages do unasked, before one is imported; a user's own setting stands.

    ONNX Runtime (1.32) keeps an identifier of the device and a database of events in the user's folder. OpenVINO does
    so too, and reports each import over the network, unless its package for that is missing.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed


def _keep_no_fonts() -> None:
    """Matplotlib writes a list of fonts into the user's folders: where it may not, into one that goes with us."""
    known = "matplotlib" in sys.modules or "MPLCONFIGDIR" in os.environ
    # Neither raises: there may be no home, or one that may not be entered.
    if known or any(os.access(os.path.expanduser(home), os.W_OK) for home in MATPLOTLIB_S):
        return
    os.environ["MPLCONFIGDIR"] = folder = tempfile.mkdtemp(prefix="cgnet-matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingPackage` naming the extra that installs it."""
    quiet_packages()
    if module.startswith("matplotlib"):
        _keep_no_fonts()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage(
            f"{module} can't be imported ({error}); install it with: pip install 'cgnet-deploy[{extra}]'"
        ) from error


def one_line(error: BaseException | str) -> str:
    """The first line of a library's message, printable and short, to be part of ours."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(c if c.isprintable() else "?" for c in first[:200])


def last_line(output: str) -> str:
    """The last line that a failed program wrote, usually its reason; printable and short."""
    lines = output.strip().splitlines()
    return one_line(lines[-1]) if lines else "no reason given"
