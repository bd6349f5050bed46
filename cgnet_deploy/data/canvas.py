"""A pinhole camera over a picture and its label map: every shape is painted on both.

World: x to the right, y up, z ahead, in metres, the camera above (0, 0, 0).

    u = W/2 + f (x + bend z^2) / z        f = 1.1 H: one world at any resolution
    v = horizon H + f (height - y) / z    then rolled about the picture's centre
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

Point = tuple[float, float, float]  # metres
Bgr = tuple[float, float, float]  # 0 to 255; out of range is clipped

NEAR_M = 2.0  # nothing closer is drawn; long objects are cut off here
SUBPIXEL_BITS = 4
FAR_OUT_PX = 1 << 14  # projected points are clipped here, far outside any picture


@dataclass(frozen=True, slots=True)
class Camera:
    """horizon: its place as a share of the height, from the top. bend: of the road, 1/m. roll: radians."""

    res: Res
    horizon: float
    height_m: float
    bend: float
    roll: float

    @property
    def focal_px(self) -> float:
        return 1.1 * self.res.height

    def project(self, point: Point) -> tuple[float, float]:
        """(u, v) in pixels of a point ahead of the camera. Plain floats: numpy is slower for one point."""
        x, y, z = point[0], point[1], max(point[2], NEAR_M)
        focal = self.focal_px
        right = focal * (x + self.bend * z * z) / z
        down = (self.horizon - 0.5) * self.res.height + focal * (self.height_m - y) / z
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return self.res.width / 2 + cos * right - sin * down, self.res.height / 2 + sin * right + cos * down

    def pixels(self, metres: float, z: float) -> float:
        """How many pixels a length across the view has at distance z."""
        return self.focal_px * metres / max(z, NEAR_M)


@dataclass(frozen=True, slots=True)
class Canvas:
    """picture (H, W, 3) u8 BGR and labels (H, W) u8, painted far to near.

    haze: the colour that distant things fade to, by 1 - exp(-z / haze_m). A label of None paints the
    picture only: markings, shadows, windows.
    """

    camera: Camera
    picture: U8
    labels: U8
    haze: Bgr
    haze_m: float

    def polygon(self, points: Sequence[Point], colour: Bgr, label: int | None = None) -> None:
        corners = np.array([self._place(point) for point in points], np.int32)
        shade = self._hazy(colour, min(p[2] for p in points))
        cv2.fillPoly(self.picture, [corners], shade, cv2.LINE_AA, SUBPIXEL_BITS)
        if label is not None:
            cv2.fillPoly(self.labels, [corners], label, cv2.LINE_8, SUBPIXEL_BITS)

    def line(self, start: Point, end: Point, width_m: float, colour: Bgr, label: int | None = None) -> None:
        """A straight bar, at least one pixel wide."""
        a, b, width = self._place(start), self._place(end), self._width(width_m, start[2])
        cv2.line(self.picture, a, b, self._hazy(colour, start[2]), width, cv2.LINE_AA, SUBPIXEL_BITS)
        if label is not None:
            cv2.line(self.labels, a, b, label, width, cv2.LINE_8, SUBPIXEL_BITS)

    def disc(self, centre: Point, radii_m: tuple[float, float], colour: Bgr, label: int | None = None) -> None:
        """An upright ellipse that faces the camera; radii across and up."""
        self._ellipse(centre, radii_m, -1, colour, label)

    def ring(self, centre: Point, radii_m: tuple[float, float], width_m: float, colour: Bgr, label: int) -> None:
        """The outline of an upright ellipse, as a bicycle's wheel."""
        self._ellipse(centre, radii_m, self._width(width_m, centre[2]), colour, label)

    def _ellipse(self, centre: Point, radii_m: tuple[float, float], width: int, colour: Bgr, label: int | None) -> None:
        middle, shade = self._place(centre), self._hazy(colour, centre[2])
        across, up = (round(self.camera.pixels(r, centre[2]) * (1 << SUBPIXEL_BITS)) for r in radii_m)
        cv2.ellipse(self.picture, middle, (across, up), 0, 0, 360, shade, width, cv2.LINE_AA, SUBPIXEL_BITS)
        if label is not None:
            cv2.ellipse(self.labels, middle, (across, up), 0, 0, 360, label, width, cv2.LINE_8, SUBPIXEL_BITS)

    def _width(self, width_m: float, z: float) -> int:
        return max(1, round(self.camera.pixels(width_m, z)))

    def _hazy(self, colour: Bgr, z: float) -> Bgr:
        clear = math.exp(-z / self.haze_m)
        hazy = [clear * c + (1 - clear) * h for c, h in zip(colour, self.haze, strict=True)]
        b, g, r = [0.0 if c < 0 else 255.0 if c > 255 else c for c in hazy]
        return b, g, r

    def _place(self, point: Point) -> tuple[int, int]:
        """Projected, in OpenCV's fixed point."""
        u, v = self.camera.project(point)
        u, v = min(max(u, -FAR_OUT_PX), FAR_OUT_PX), min(max(v, -FAR_OUT_PX), FAR_OUT_PX)
        return round(u * (1 << SUBPIXEL_BITS)), round(v * (1 << SUBPIXEL_BITS))
