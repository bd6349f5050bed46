"""Pixels in and out: the reference that the versions in graphs and in C++ must match."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.errors import FrameError
from cgnet_deploy.spec import InputSpec, ModelSpec

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


def check_frames(frames: object) -> U8:
    """`frames` itself if it is (N, H, W, 3) u8 with N, H, W > 0, else FrameError."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise FrameError(f"frames are {getattr(frames, 'dtype', type(frames).__name__)}; wanted a NumPy array of uint8")
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise FrameError(f"frames have shape {frames.shape}; wanted (N, H, W, 3), BGR")
    return frames


def to_tensor(frames: U8, spec: InputSpec) -> F32:
    """(N, H, W, 3) u8 BGR -> (N, 3, H, W) f32: reorder, subtract the mean, divide by std."""
    planes = check_frames(frames)[..., list(spec.channels)].astype(np.float32)
    planes -= np.asarray(spec.mean, np.float32)
    if spec.std != (1.0, 1.0, 1.0):
        planes /= np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(planes.transpose(0, 3, 1, 2))


def colour(labels: U8, spec: ModelSpec) -> U8:
    """(H, W) u8 labels -> (H, W, 3) u8 BGR in the palette; labels without a class are black."""
    table = np.zeros((256, 1, 3), np.uint8)
    table[: spec.classes, 0] = np.asarray(spec.palette, np.uint8)[:, ::-1]  # palette is RGB
    # Several times faster than table[labels]: a video is painted at the rate of its engine.
    return np.asarray(cv2.applyColorMap(labels, table), np.uint8)


def overlay(frame: U8, labels: U8, spec: ModelSpec, alpha: float = 0.5) -> U8:
    """Lay labels over their frame, in the colours of the palette: (H, W, 3) u8 BGR.

    frame: (H, W, 3) u8 BGR. labels: (H, W) u8. spec: of the network, as in `Engine.info.spec`. alpha: 0 shows the
    frame, 1 the labels. Raises FrameError if frame and labels differ in size.
    """
    if frame.shape[:2] != labels.shape:
        raise FrameError(f"the frame is {frame.shape[:2]}, its labels are {labels.shape}: they must have one size")
    return np.asarray(cv2.addWeighted(frame, 1 - alpha, colour(labels, spec), alpha, 0.0), np.uint8)
