"""NV12 to BGR in the integers that engines/cpp/src/nv12.hpp states, written a second time, on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.pixels import U8

FORMATS = ("nv12_bt601_limited", "nv12_bt601_full", "nv12_bt709_limited", "nv12_bt709_full")
ONE = 1 << 20


def matrix(name: str) -> tuple[int, npt.NDArray[np.float64]]:
    """The luma of black, and the real factors: columns Y, Cb, Cr, rows B, G, R."""
    kr, kb = (0.2126, 0.0722) if "bt709" in name else (0.299, 0.114)
    kg = 1 - kr - kb
    black, y, c = (16, 255 / 219, 255 / 224) if name.endswith("limited") else (0, 1.0, 1.0)
    blue, red = 2 * c * (1 - kb), 2 * c * (1 - kr)
    return black, np.array([[y, blue, 0], [y, -blue * kb / kg, -red * kr / kg], [y, 0, red]])


def to_bgr(name: str, y: npt.NDArray[Any], cb: npt.NDArray[Any], cr: npt.NDArray[Any]) -> U8:
    """Three arrays of one shape -> the same with (B, G, R) behind."""
    black, factors = matrix(name)
    b, g, r = np.rint(factors * ONE).astype(np.int32)
    luma = np.maximum(y.astype(np.int32), black) - black
    blue, red = cb.astype(np.int32) - 128, cr.astype(np.int32) - 128
    scaled = np.stack([k[0] * luma + k[1] * blue + k[2] * red for k in (b, g, r)], -1)
    bgr: U8 = ((scaled + ONE // 2) >> 20).clip(0, 255).astype(np.uint8)
    return bgr


def frames_of(name: str, nv12: U8) -> U8:
    """(N, H * 3 / 2, W), chroma below luma -> (N, H, W, 3)."""
    n, rows, w = nv12.shape
    h = rows * 2 // 3
    chroma = nv12[:, h:].reshape(n, h // 2, w // 2, 2).repeat(2, 1).repeat(2, 2)
    return to_bgr(name, nv12[:, :h], chroma[..., 0], chroma[..., 1])
