"""How good an exported file is on labelled frames, run by the runtime that it is for."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.data.dataset import Dataset, check_classes, fit_frame, scored_images
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.evaluation import confusion_of
from cgnet_deploy.export.targets import Target
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

TIMED = 20

Evaluate = Callable[[Path], tuple[float, float]]  # an ONNX file -> its mIoU, 0 to 1, and its p50 in ms


def scorer(dataset: Dataset, target: Target, classes: int, res: Res, batch: int) -> Evaluate:
    """What gives the mIoU of a file of that size on all of `dataset`, and its p50.

    Raises DataError if the network has other classes than the data set.
    """
    check_classes(dataset, classes)
    scored_images(dataset, range(len(dataset)))
    frames = np.stack([fit_frame(dataset.frame(0), res)] * batch)

    def evaluate(path: Path) -> tuple[float, float]:
        with open_engine(f"{target.scored_by}:{path}", res=res, batch=batch, cache=False) as engine:
            miou = confusion_of(engine.infer, dataset, res, batch=batch).miou
            return miou, _p50_ms(lambda: engine.infer(frames))

    return evaluate


def _p50_ms(step: Callable[[], U8]) -> float:
    """A rough figure beside the mIoU; cgnet-bench measures latency, in a process of its own."""
    samples_ns = []
    for _ in range(TIMED):
        start = CLOCK.now_ns()
        step()
        samples_ns.append(CLOCK.now_ns() - start)
    return statistics.median(samples_ns) / 1e6
