"""What a graph gives, as labels: integers of any type as they are, or the largest of scores, enlarged if need be."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.pixels import F32, U8

Sizes = tuple[int, int, int]  # (N, H, W)


def labels_in(output: Any, sizes: Sizes) -> U8:
    """(N, H, W) or (N, 1, H, W) of integers -> (N, H, W) u8, a new array. Raises ArtifactError for anything else."""
    planes = output[:, 0] if output.ndim == 4 and output.shape[1] == 1 else output
    if planes.shape != sizes:
        raise ArtifactError(f"the graph gave labels of shape {output.shape} for frames of {sizes}")
    if planes.dtype != np.uint8 and int(np.bitwise_or.reduce(planes, axis=None)) & ~255:  # negative ones too
        raise ArtifactError(f"the graph gave labels of {planes.min()} to {planes.max()}; wanted 0 to 255")
    return np.array(planes, np.uint8)


def scores_in(output: Any, sizes: Sizes, classes: int) -> F32:
    """(N, K, h, w) -> (N, K, H, W) f32, bilinearly; `output` itself where it is that. Raises as `labels_in`."""
    n, height, width = sizes
    if output.ndim != 4 or output.shape[:2] != (n, classes) or output.shape[2] > height or output.shape[3] > width:
        raise ArtifactError(
            f"the graph gave scores of shape {output.shape} for {classes} classes and frames of {sizes}"
        )
    scores: F32 = output.astype(np.float32, copy=False)
    if scores.shape[2:] == (height, width):
        return scores
    # As torch's interpolate does without align_corners. OpenCV takes few channels at a time.
    larger = [cv2.resize(plane, (width, height)) for planes in scores for plane in planes]
    return np.stack(larger).reshape(n, classes, height, width)


def labels_from_scores(output: Any, sizes: Sizes, classes: int) -> U8:
    """As `scores_in`, then the class of the largest."""
    return labels_of(scores_in(output, sizes, classes))
