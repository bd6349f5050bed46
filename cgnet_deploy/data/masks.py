"""Masks from files: the stored values of a grey or palette picture, or the colours of an RGB one.

Pillow decodes: OpenCV turns a palette's indices into colours, and scales 1, 2 and 4 bits to 8.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from cgnet_deploy.data.images import CUT, DAMAGED, read_header, upright
from cgnet_deploy.data.mistaken import odd_pixels
from cgnet_deploy.errors import DataError

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
LOSSLESS = ("PNG", "BMP", "TIFF")
SCALED = {"L;2": 85, "L;4": 17}  # Pillow spreads 2 and 4 bits over 0 to 255; divided by this they are as stored
GREY = ("1", "L", "P", "LA", "I", "I;16", "I;16B", "I;16L")
COLOUR = ("RGB", "RGBA", "RGBX")

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """pixels: (H, W), the stored values, or the colours as 0xRRGGBB."""

    kind: Literal["values", "colours"]
    pixels: Pixels


def read_mask(path: Path) -> Mask:
    """Its values as they are stored, turned upright by its own EXIF orientation.

    DataError if it is none, or can't be read or decoded, or is too large.
    """
    content, header = read_header(path)
    if header.format not in LOSSLESS or header.info.get("compression") == "jpeg":
        raise DataError(
            f"{path} is no mask: a mask saved as {header.format} has other values at every edge; export it as PNG"
        )
    mode, layout = header.mode, _raw_mode(header.tile)
    if mode not in GREY + COLOUR or layout.endswith("I"):
        what = f"is no mask: {header.format} of mode {layout or mode}; wanted grey, palette or RGB"
        raise DataError(f"{path} {odd_pixels(content) or what}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of Pillow, about damaged metadata
            pixels = upright(np.asarray(header), content, header)
    except DAMAGED as error:
        raise DataError(f"{path} {CUT}") from error
    if mode in COLOUR:
        red, green, blue = (pixels[..., i].astype(np.int32) for i in range(3))
        return Mask("colours", red << 16 | green << 8 | blue)
    if mode == "LA":
        pixels = pixels[..., 0]
    if pixels.dtype == bool or pixels.dtype == np.uint8:
        return Mask("values", pixels.astype(np.uint8) // np.uint8(SCALED.get(layout, 1)))
    return Mask("values", pixels.astype(np.int32))


def _raw_mode(tile: Sequence[tuple[object, ...]]) -> str:
    """How the pixels are packed in the file, as Pillow calls it: "L;4" is grey of 4 bits."""
    options = tile[0][3] if tile else ""
    return str(options[0] if isinstance(options, tuple) else options)
