"""Labels to a picture for people: the overlay, and below it a legend of colours and names."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cgnet_deploy.errors import UsageError
from cgnet_deploy.pixels import U8, overlay
from cgnet_deploy.spec import ModelSpec

FONT = cv2.FONT_HERSHEY_SIMPLEX
GROUND, INK, RIM = (28, 28, 28), (235, 235, 235), (110, 110, 110)  # BGR
LINE_PX, MIN_LINE_PX = 1 / 24, 18  # height of one entry: of the frame's height, and at least
SHARPER = 4  # text is drawn so many times larger and shrunk: OpenCV's strokes are coarse


class OverlayPainter:
    """Paints frames of any size; the legend of a size is drawn once.

    alpha: 0 shows the frame, 1 the labels. classes: names of those to show, all if empty; elsewhere the frame is
    unchanged. legend: a strip below the picture, where it hides nothing. Raises UsageError for an unknown class.
    """

    def __init__(self, spec: ModelSpec, alpha: float, classes: Sequence[str] = (), *, legend: bool = True) -> None:
        known = {name.lower(): number for number, name in enumerate(spec.class_names)}
        for name in classes:
            if name.lower() not in known:
                raise UsageError(f"--classes {name}: no such class; wanted {', '.join(spec.class_names)}")
        self.shown = tuple(sorted({known[name.lower()] for name in classes})) or tuple(range(spec.classes))
        self._spec, self._alpha, self._legend = spec, alpha, legend
        self._is_shown = np.zeros(256, np.uint8)
        self._is_shown[list(self.shown)] = 255
        self._all = not classes
        self._strips: dict[tuple[int, int], U8] = {}

    def __call__(self, frame: U8, labels: U8) -> U8:
        """(H, W, 3) u8 BGR and its (H, W) u8 labels -> (H + legend, W, 3) u8 BGR."""
        painted = overlay(frame, labels, self._spec, self._alpha)
        if not self._all:
            cv2.copyTo(frame, cv2.bitwise_not(cv2.LUT(labels, self._is_shown)), painted)
        if not self._legend:
            return painted
        size = frame.shape[0], frame.shape[1]
        if size not in self._strips:
            self._strips = {size: legend(self._spec, self.shown, *size)}  # only the last size is kept: a stream has few
        return np.concatenate([painted, self._strips[size]])


def legend(spec: ModelSpec, shown: Sequence[int], height: int, width: int) -> U8:
    """(h, W, 3) u8 BGR: a swatch and a name for each class of `shown`, in as many columns as fit. h is even."""
    line = max(MIN_LINE_PX, round(height * LINE_PX))
    scale = 0.62 * line / 30  # OpenCV's letters are some 22 px high at scale 1
    gap = line // 3
    text_px = max(cv2.getTextSize(spec.class_names[k], FONT, scale, 1)[0][0] for k in shown)
    entry = line + gap + text_px + gap
    columns = max(1, min(len(shown), (width - gap) // entry))
    rows = -(-len(shown) // columns)
    column_px = (width - gap) / columns
    big = np.full(((rows * line + 2 * gap) * SHARPER, width * SHARPER, 3), GROUND, np.uint8)
    for place, k in enumerate(shown):
        column, row = divmod(place, rows)
        x, y = SHARPER * (gap + round(column * column_px)), SHARPER * (gap + row * line)
        side, inset = SHARPER * line, SHARPER * line // 6
        box = (x, y + inset), (x + side - inset, y + side - inset)
        cv2.rectangle(big, *box, tuple(int(v) for v in reversed(spec.palette[k])), cv2.FILLED)
        cv2.rectangle(big, *box, RIM, SHARPER // 2)
        corner = x + side + SHARPER * gap // 2, y + round(0.72 * side)
        thick = round(1.1 * SHARPER * max(1.0, scale))
        cv2.putText(big, spec.class_names[k], corner, FONT, scale * SHARPER, INK, thick, cv2.LINE_AA)
    strip = cv2.resize(big, (width, big.shape[0] // SHARPER), interpolation=cv2.INTER_AREA)
    return np.asarray(strip, np.uint8)[: len(strip) // 2 * 2]
