"""CGNet (arXiv 1811.08201) from a checkpoint to a verified engine.

    import cgnet_deploy as cg

    exported = cg.export("model.pth", "cgnet.onnx", precision="f16", res="1024x2048")
    with cg.Segmenter("cgnet.onnx") as segmenter:
        labels = segmenter.segment(frame)                    # (H, W, 3) u8 BGR -> (H, W) u8

Each name is imported when it is first used, so importing the package is quick and needs no optional package. The
package never prints: what it has to say goes to the "cgnet_deploy" logger, which is silent until a program configures
logging. Errors derive from `CgnetError`; see errors.py for the tree.
"""

import logging
from importlib import import_module

TYPE_CHECKING = False  # as typing's, whose import takes long: until a command has begun, Ctrl-C is Python's

if TYPE_CHECKING:  # for type checkers and editors; at run time `__getattr__` imports the same names
    from cgnet_deploy.artifact import Artifact
    from cgnet_deploy.bench.accuracy.api import evaluate
    from cgnet_deploy.bench.api import benchmark
    from cgnet_deploy.bench.report.record import Record
    from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
    from cgnet_deploy.confusion import Confusion
    from cgnet_deploy.engines.base import Engine
    from cgnet_deploy.engines.build import BuiltPlan, build_plan
    from cgnet_deploy.engines.nv12 import Nv12
    from cgnet_deploy.engines.open import open_engine
    from cgnet_deploy.engines.serialise import ShapeRange
    from cgnet_deploy.errors import (
        AccuracyError,
        ArtifactError,
        CgnetError,
        CheckpointError,
        DataError,
        EngineUnavailable,
        FrameError,
        MissingPackage,
        NoSpace,
        PerformanceError,
        UsageError,
        UserError,
    )
    from cgnet_deploy.export.api import export
    from cgnet_deploy.export.exported import Exported
    from cgnet_deploy.export.targets import Target
    from cgnet_deploy.label.api import Labelled, label_archive
    from cgnet_deploy.pixels import overlay
    from cgnet_deploy.spec import InputSpec, ModelSpec, Precision, Res
    from cgnet_deploy.tuning.api import tune
    from cgnet_deploy.tuning.kept import Tuned
    from cgnet_deploy.video.segmenter import Segmenter

__version__ = "0.1.0"

_MODULES = {
    "artifact": ("Artifact",),
    "bench.accuracy.api": ("evaluate",),
    "bench.api": ("benchmark",),
    "bench.report.record": ("Record",),
    "checkpoint.reading": ("Checkpoint", "load_checkpoint"),
    "confusion": ("Confusion",),
    "engines.base": ("Engine",),
    "engines.build": ("BuiltPlan", "build_plan"),
    "engines.nv12": ("Nv12",),
    "engines.open": ("open_engine",),
    "engines.serialise": ("ShapeRange",),
    "errors": (
        "AccuracyError",
        "ArtifactError",
        "CgnetError",
        "CheckpointError",
        "DataError",
        "EngineUnavailable",
        "FrameError",
        "MissingPackage",
        "NoSpace",
        "PerformanceError",
        "UsageError",
        "UserError",
    ),
    "export.api": ("export",),
    "export.exported": ("Exported",),
    "export.targets": ("Target",),
    "label.api": ("Labelled", "label_archive"),
    "pixels": ("overlay",),
    "spec": ("InputSpec", "ModelSpec", "Precision", "Res"),
    "tuning.api": ("tune",),
    "tuning.kept": ("Tuned",),
    "video.segmenter": ("Segmenter",),
}
_EXTRAS = {"checkpoint.reading": "export", "export.targets": "export"}  # what installs a module's own imports
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AccuracyError",
    "Artifact",
    "ArtifactError",
    "BuiltPlan",
    "CgnetError",
    "Checkpoint",
    "CheckpointError",
    "Confusion",
    "DataError",
    "Engine",
    "EngineUnavailable",
    "Exported",
    "FrameError",
    "InputSpec",
    "Labelled",
    "MissingPackage",
    "ModelSpec",
    "NoSpace",
    "Nv12",
    "PerformanceError",
    "Precision",
    "Record",
    "Res",
    "Segmenter",
    "ShapeRange",
    "Target",
    "Tuned",
    "UsageError",
    "UserError",
    "benchmark",
    "build_plan",
    "evaluate",
    "export",
    "label_archive",
    "load_checkpoint",
    "open_engine",
    "overlay",
    "tune",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULE_OF[name]
    path = f"{__name__}.{module}"
    if module in _EXTRAS:
        holder = import_module(f"{__name__}.errors").require(path, _EXTRAS[module])
    else:
        holder = import_module(path)
    value = getattr(holder, name)
    return globals().setdefault(name, value)  # `export` is there by now: the subpackage, which can be called


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
