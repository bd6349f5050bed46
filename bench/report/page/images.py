"""Pictures inside a page: label maps and difference maps as transparent PNGs that lie over one copy of the frame.

A label map of few colours takes a tenth of the bytes of the overlay it gives, and the reader can fade it.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import cv2
import numpy as np

from cgnet_deploy.bench.accuracy.gallery import Gallery, ScoredPicture
from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import fit_frame, fit_labels
from cgnet_deploy.errors import CgnetError, require
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

MAX_WIDTH_PX = 640  # of a picture in the page: twice what a phone shows
QUALITY = 80
SPOT_PX = 5  # the side of the mark of a differing pixel, which alone would not be seen
Rgba = tuple[int, int, int, int]
NOTHING: Rgba = (0, 0, 0, 0)
TIE: Rgba = (86, 180, 233, 255)  # Okabe and Ito's sky blue and orange: told apart by any eye, seen on grey
CLEAR: Rgba = (255, 130, 0, 255)


@dataclass(frozen=True, slots=True)
class Overlay:
    """One engine on one picture. differing: pixels; labels, difference: data URIs, none for the first engine's."""

    labels: str
    difference: str | None
    differing: int
    clearly: int | None


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture, ready for a page. frame, truth: data URIs."""

    name: str
    width_px: int
    height_px: int
    pixels: int
    frame: str
    truth: str
    layers: tuple[Overlay, ...]


def shown(gallery: Gallery) -> list[ShownPicture]:
    return [_shown(picture, gallery.table) for picture in gallery.pictures]


def _shown(picture: ScoredPicture, table: ClassTable) -> ShownPicture:
    height, width = picture.truth.shape
    size = Res(max(round(height * min(MAX_WIDTH_PX / width, 1)), 1), min(width, MAX_WIDTH_PX))
    palette: list[Rgba] = [NOTHING] * 256
    palette[: len(table.palette)] = [(*colour, 255) for colour in table.palette]
    layers = []
    for number, labels in enumerate(picture.labels):
        kinds = picture.differing(number)
        layers.append(
            Overlay(
                labels=png(fit_labels(labels, size), palette),
                difference=png(spots(kinds, size), [NOTHING, TIE, CLEAR]) if number else None,
                differing=int((kinds > 0).sum()),
                clearly=None if picture.bands is None else int((kinds == 2).sum()),
            )
        )
    return ShownPicture(
        picture.name,
        size.width,
        size.height,
        picture.truth.size,
        webp(fit_frame(picture.frame, size)),
        png(fit_labels(picture.truth, size), palette),
        tuple(layers),
    )


def spots(kinds: U8, size: Res) -> U8:
    """(H, W) u8 -> (h, w) u8: each differing pixel as a spot; none is lost in making the picture smaller."""
    large = np.zeros(size, np.uint8)
    rows, columns = np.nonzero(kinds)
    at = rows * size.height // kinds.shape[0], columns * size.width // kinds.shape[1]
    np.maximum.at(large, at, kinds[rows, columns])
    return np.asarray(cv2.dilate(large, np.ones((SPOT_PX, SPOT_PX), np.uint8)), np.uint8)


def png(indices: U8, palette: list[Rgba]) -> str:
    """An indexed PNG as a data URI."""
    images = require("PIL.Image", extra="report")
    image = images.fromarray(indices, "P")
    image.putpalette([value for colour in palette for value in colour], "RGBA")
    image.save(file := io.BytesIO(), "PNG", optimize=True)
    return data_uri("image/png", file.getvalue())


def webp(frame: U8) -> str:
    """(H, W, 3) u8 BGR as a data URI."""
    done, content = cv2.imencode(".webp", frame, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise CgnetError("this OpenCV writes no WebP, which the report's frames are stored in; install opencv-python")
    return data_uri("image/webp", content.tobytes())


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
