"""What building and running a plan share of TensorRT's Python API.

TensorRT 10, 11 and TensorRT for RTX are one API under two package names. The networks here are strongly typed,
which 10 has to be asked for, 11 always does and RTX always did; no call here differs between them. What is typed
as tensorrt's is of both, what is tensorrt_rtx's of RTX alone: tests/engines/test_stubs.py holds every call to it.
"""

from __future__ import annotations

import gc
import importlib.util
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from packaging.version import Version

from cgnet_deploy.errors import EngineUnavailable, MissingPackage, one_line, require

if TYPE_CHECKING:
    import tensorrt
    import tensorrt_rtx

Builder = Literal["tensorrt", "rtx"]
Created = TypeVar("Created")
PACKAGES: dict[Builder, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
EXTRAS: dict[Builder, str] = {"tensorrt": "trt", "rtx": "rtx"}

# 10.2's builder looks for a library under a name that its own packages don't have (ultralytics pull request 24367).
OLDEST = Version("10.3")

# What TensorRT for RTX runs on, and where a plan runs that was built for no GPU in particular, by its support matrix.
# Newer releases name more in ComputeCapability, which has 8.0 as well: an A100 is refused all the same.
RTX_ARCHITECTURES = ("sm_75", "sm_86", "sm_89", "sm_120")
RTX_PORTABLE = ("sm_86", "sm_89", "sm_120")
RTX_REFUSED = ("sm_80",)
RTX_PLUGIN = (*RTX_PORTABLE, "sm_121")  # of ONNX Runtime's plugin, which is for Ampere and later


class Api(Protocol):
    """What we use of the package `tensorrt` or `tensorrt_rtx`."""

    __name__: str
    __version__: str
    Builder: type[tensorrt.Builder]
    BuilderFlag: type[tensorrt.BuilderFlag]
    ILogger: type[tensorrt.ILogger]
    IProfiler: type[tensorrt.IProfiler]
    IProgressMonitor: type[tensorrt.IProgressMonitor]
    LayerType: type[tensorrt.LayerType]
    MemoryPoolType: type[tensorrt.MemoryPoolType]
    NetworkDefinitionCreationFlag: type[tensorrt.NetworkDefinitionCreationFlag]
    OnnxParser: type[tensorrt.OnnxParser]
    Runtime: type[tensorrt.Runtime]
    TensorIOMode: type[tensorrt.TensorIOMode]
    ComputeCapability: type[tensorrt_rtx.ComputeCapability]
    DynamicShapesKernelSpecializationStrategy: type[tensorrt_rtx.DynamicShapesKernelSpecializationStrategy]

    def nptype(self, trt_type: tensorrt.DataType, /) -> Any: ...


def is_installed(builder: Builder) -> bool:
    """Whether the package is there: tensorrt-stubs alone leaves a folder `tensorrt` without any code."""
    spec = importlib.util.find_spec(PACKAGES[builder])
    return spec is not None and spec.origin is not None


def load_api(builder: Builder) -> Api:
    """The Python package of `builder`. Raises MissingPackage, or EngineUnavailable for a release that can't work."""
    try:
        package = require(PACKAGES[builder], EXTRAS[builder])
        if not hasattr(package, "__version__"):
            raise MissingPackage(
                f"{PACKAGES[builder]} can't be imported (of it only its stubs are installed); "
                f"install it with: pip install 'cgnet-deploy[{EXTRAS[builder]}]'"
            )
    except MissingPackage as error:
        if builder == "tensorrt" and platform.machine() == "aarch64":  # pip has no wheel for a Jetson
            raise MissingPackage(
                f"{error}; on a Jetson, TensorRT comes with JetPack: make the environment with "
                "python3 -m venv --system-site-packages; on other Arm machines: pip install tensorrt"
            ) from error
        raise
    trt = cast(Api, package)
    if builder == "tensorrt" and Version(trt.__version__) < OLDEST:
        raise EngineUnavailable(
            f"TensorRT {trt.__version__} is too old, wanted 10.3 or later; "
            "install it with: pip install 'cgnet-deploy[trt]'"
        )
    return trt


def rtx_architectures(trt: Api) -> tuple[str, ...]:
    """The GPUs that this release of TensorRT for RTX runs on, such as sm_89."""
    named = getattr(trt, "ComputeCapability", None)
    numbers = [name.removeprefix("SM") for name in named.__members__ if name.startswith("SM")] if named else []
    newer = [f"sm_{number}" for number in numbers if number.isdecimal()]
    known = dict.fromkeys((*RTX_ARCHITECTURES, *newer))
    return tuple(sorted(known.keys() - set(RTX_REFUSED), key=lambda name: int(name.removeprefix("sm_"))))


def new_log(trt: Api) -> Any:
    """An ILogger that keeps the errors and drops the rest; `reason()` is the last error, on one line.

    TensorRT's own Logger prints to stdout, where only results belong.
    """

    class Log(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # not super(): pybind11 needs the base itself to be called
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self._errors.append(message)

        def reason(self) -> str:
            return one_line(self._errors[-1]) if self._errors else "no reason given"

    return Log()


@contextmanager
def no_collection() -> Iterator[None]:
    """Put off Python's garbage collection while TensorRT may call a log.

    It calls with its lock held. A collection that starts in such a call may free another of its objects, as the
    builder that a kept traceback holds, which waits for that same lock: for ever.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def create(kind: Callable[[Any], Created], log: Any) -> Created:
    """A Builder or a Runtime. Raises EngineUnavailable if it can't start, as under a driver that is too old."""
    try:
        return kind(log)
    except TypeError as error:  # what pybind11 makes of a null pointer
        raise EngineUnavailable(f"TensorRT can't start: {log.reason()}") from error
