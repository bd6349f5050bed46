"""A plan is compared with the ONNX file that it was built from before it is kept, wherever it can run.

Both label the same drawn street scenes, the plan on the GPU and the file in ONNX Runtime on the CPU. Their types are
the same, so they may differ by rounding alone: the limits are those of an export's own steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cgnet_deploy.artifact import Artifact
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import AccuracyError, EngineUnavailable, MissingPackage
from cgnet_deploy.files import scratch
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res

log = logging.getLogger(__name__)

EQUAL_LABELS = {Precision.F32: 0.9999, Precision.F16: 0.98, Precision.INT8: 0.7}  # the least share of pixels
MOST_FRAMES = 4
NO_GPU = "no GPU here"


@dataclass(frozen=True, slots=True)
class PlanVerification:
    """equal_labels: share of pixels, 0 to 1, on which plan and ONNX file agree; None where the plan can't run.

    missing: why it can't, in words.
    """

    frames: int
    equal_labels: float | None
    missing: str = ""

    def summary(self) -> str:
        """A few words, for a sidecar and for people."""
        if self.equal_labels is None:
            return f"not verified: {self.missing}"
        return f"labels equal its ONNX file's on {self.equal_labels:.4%} of {self.frames} frames"


def verify_plan(
    write: Callable[[Path], Artifact], name: str, source: Artifact, sizes: tuple[int, ...]
) -> PlanVerification:
    """Compare the plan that `write` writes, with its sidecar, to a path, with the ONNX file `source`.

    name: of the plan. sizes: (N, H, W) of the frames. Raises AccuracyError if their labels differ, CgnetError if the
    plan fails at its work.
    """
    try:
        find_gpu()
    except EngineUnavailable:
        return PlanVerification(0, None, NO_GPU)
    n, h, w = sizes
    dataset = open_dataset(f"scenes:0:{h}x{w}", "val")
    frames = np.stack([dataset.frame(i) for i in range(max(MOST_FRAMES // n, 1) * n)])
    with scratch("plan") as folder:
        path = write(folder / "new.plan").path
        try:
            labels, wanted = _labels(f"trt:{path}", frames, n), _labels(f"ort:{source.path}", frames, n)
        except (EngineUnavailable, MissingPackage) as error:
            return PlanVerification(0, None, str(error).replace(str(path), name))
    equal = float((labels == wanted).mean())
    least = EQUAL_LABELS[source.precision]
    if not equal >= least:
        raise AccuracyError(
            f"the plan disagrees with {source.path}: labels are equal on {equal:.4%} of the pixels of {len(frames)} "
            f"frames (limit {least:.2%}); {name} is not written"
        )
    return PlanVerification(len(frames), equal)


def _labels(ref: str, frames: U8, batch: int) -> U8:
    with open_engine(ref, res=Res(*frames.shape[1:3]), batch=batch, cache=False) as engine:
        return np.concatenate([engine.infer(frames[i : i + batch]) for i in range(0, len(frames), batch)])
