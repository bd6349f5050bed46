"""mIoU (ms+flip), as papers print it beside mIoU: every image is labelled from twelve views of it.

    scores   the mean of softmax(logits) over the scales 0.5, 0.75, ... 1.75, as the image is and mirrored,
             each brought back to the image's size (linear) before the softmax
    label    the class of the highest score

It is a figure of accuracy only: twelve inferences an image are nobody's latency.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import cv2
import numpy as np

from cgnet_deploy.data.dataset import fit_frame
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of mmsegmentation's and of our trainer's ms+flip


class Views:
    """An engine, opened once for every scale. A context manager.

    at_size: opens it for a size. Raises UsageError if it takes one size only, or gives no logits.
    """

    def __init__(self, res: Res, at_size: Callable[[Res], Engine]) -> None:
        self.res = res
        self._stack = ExitStack()
        with ExitStack() as opening:
            try:
                self._engines = [opening.enter_context(at_size(scaled(res, scale))) for scale in SCALES]
            except UsageError as error:
                raise UsageError(f"ms+flip needs an engine that takes any size: {error}") from error
            self._stack = opening.pop_all()

    def labels(self, frame: U8) -> U8:
        """(h, w, 3) u8 BGR -> (H, W) u8."""
        total: F32 | float = 0.0
        for scale, engine in zip(SCALES, self._engines, strict=True):
            view = fit_frame(frame, scaled(self.res, scale))
            for mirrored in (False, True):
                scores = self._scores(engine, np.ascontiguousarray(view[:, ::-1]) if mirrored else view)
                total = total + (scores[:, :, ::-1] if mirrored else scores)
        return np.asarray(np.argmax(total, axis=0), np.uint8)

    def _scores(self, engine: Engine, view: U8) -> F32:
        """(h, w, 3) u8 BGR -> (K, H, W) f32, the softmax."""
        logits = engine.logits(view[None])
        if logits is None:
            raise UsageError(
                "ms+flip needs logits, and this engine gives labels: use a checkpoint, or export with --tensor-io"
            )
        height, width = self.res
        planes = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in logits[0]])
        planes = np.exp(planes - planes.max(axis=0))
        scores: F32 = planes / planes.sum(axis=0)
        return scores

    def __enter__(self) -> Views:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def scaled(res: Res, scale: float) -> Res:
    return Res(round(res.height * scale), round(res.width * scale))
