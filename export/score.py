"""How good an exported file is on labelled frames, run by the runtime that it is for."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, check_classes, fit_frame, fit_labels
from cgnet_deploy.engines.open import open_engine
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
    backend = target.scored_by

    def evaluate(path: Path) -> tuple[float, float]:
        confusion = Confusion.empty(classes)
        with open_engine(f"{backend}:{path}", res=res, batch=batch) as engine:
            for first in range(0, len(dataset), batch):
                numbers = range(first, min(first + batch, len(dataset)))
                frames = np.stack([fit_frame(dataset.frame(i), res) for i in numbers])
                filled = np.concatenate([frames, np.repeat(frames[-1:], batch - len(frames), 0)])
                for i, labels in zip(numbers, engine.infer(filled), strict=False):
                    truth = dataset.labels(i)
                    confusion += Confusion.of(
                        truth, fit_labels(labels, Res(*truth.shape)), classes, dataset.table.ignore_label
                    )
            return confusion.miou, _p50_ms(lambda: engine.infer(filled))

    return evaluate


def _p50_ms(step: Callable[[], U8]) -> float:
    """A rough figure beside the scoring; cgnet-bench measures, in a process of its own and in turns."""
    samples_ns = []
    for _ in range(TIMED):
        start = CLOCK.now_ns()
        step()
        samples_ns.append(CLOCK.now_ns() - start)
    return statistics.median(samples_ns) / 1e6
