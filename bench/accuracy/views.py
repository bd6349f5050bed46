"""An engine as a labeller of mIoU (ms+flip): opened once for each scale, since many engines take one size only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import cv2
import numpy as np

from cgnet_deploy.engines.base import Engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.evaluation import SCALES, many_views, scaled
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Res


class Views:
    """A context manager; `labels` takes frames of any size and gives labels at `res`.

    at_size: opens the engine for a size. Raises UsageError if it takes one size only, or gives no logits.
    """

    def __init__(self, res: Res, at_size: Callable[[Res], Engine]) -> None:
        self.res = res
        self.labels = many_views(self._probabilities, res)
        with ExitStack() as opening:
            try:
                sizes = [scaled(res, scale) for scale in SCALES]
                self._engines = {size: opening.enter_context(at_size(size)) for size in sizes}
            except UsageError as error:
                raise UsageError(f"ms+flip needs an engine that takes any size: {error}") from error
            self._stack = opening.pop_all()

    def _probabilities(self, view: U8) -> F32:
        """(1, h, w, 3) u8 BGR -> (K, H, W) f32."""
        logits = self._engines[Res(*view.shape[1:3])].logits(view)
        if logits is None:
            raise UsageError(
                "ms+flip needs logits, and this engine gives labels: use a checkpoint, or export with --tensor-io"
            )
        size = (self.res.width, self.res.height)
        planes = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in logits[0]])
        planes = np.exp(planes - planes.max(axis=0))
        probabilities: F32 = planes / planes.sum(axis=0)
        return probabilities

    def __enter__(self) -> Views:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
