"""Where two engines label a pixel differently, and whether that can matter.

The margin of a pixel is its highest logit less its second highest. Sums taken in another order, or in half
precision, flip the labels of pixels whose margin is next to nothing: those are ties, not bugs. A pixel that
flips in spite of a large margin shows a real difference. So the differing pixels are counted by margin.

Each engine's labels are kept as one PNG an image, so that no engine waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.pixels import F32, U8

EDGES = (0.01, 0.1, 1.0)  # of the margin, in units of the logits
BANDS = len(EDGES) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """With another engine's labels on the same images.

    counts: (bands, 2) int64, pixels and how many of them differ, by margin: below 0.01, 0.1, 1, and above.
    One band where the other engine has no margins.
    """

    counts: npt.NDArray[np.int64]

    @property
    def differing(self) -> float:
        """The share of pixels, 0 to 1."""
        pixels, differing = self.counts.sum(0)
        return float(differing / pixels)

    @property
    def differing_clearly(self) -> float | None:
        """The share of pixels that differ although their margin is in the highest band; None without margins."""
        return float(self.counts[-1, 1] / self.counts[:, 0].sum()) if len(self.counts) == BANDS else None


def margin(logits: F32) -> F32:
    """(K, H, W) f32 -> (H, W) f32: the highest less the second highest; infinite for a single class."""
    if len(logits) == 1:
        return np.full(logits.shape[1:], np.inf, np.float32)
    second, first = np.partition(logits, -2, axis=0)[-2:]
    return np.asarray(first - second, np.float32)


def keep(folder: Path, i: int, labels: U8, margins: F32 | None) -> None:
    """Write the labels of image i, and the band that each margin falls in."""
    _write(folder / f"{i}.png", labels)
    if margins is not None:
        _write(folder / f"{i}.margin.png", np.digitize(margins, EDGES).astype(np.uint8))


def agreement(folder: Path, reference: Path, images: int) -> Agreement:
    """Of the labels kept in two folders. The margins are those of the reference."""
    bands_known = bands_kept(reference, 0) is not None
    total = np.zeros((BANDS if bands_known else 1, 2), np.int64)
    for i in range(images):
        labels, wanted = labels_kept(folder, i), labels_kept(reference, i)
        bands = bands_kept(reference, i)
        if bands is None:
            bands = np.zeros_like(labels)
        for column, pixels in enumerate((bands, bands[labels != wanted])):
            total[:, column] += np.bincount(pixels.ravel(), minlength=len(total))
    return Agreement(total)


def labels_kept(folder: Path, i: int) -> U8:
    """(H, W) u8: the labels of image i."""
    return _read(folder / f"{i}.png")


def bands_kept(folder: Path, i: int) -> U8 | None:
    """(H, W) u8: the band of each margin of image i; None where the engine has no margins."""
    path = folder / f"{i}.margin.png"
    return _read(path) if path.exists() else None


def _write(path: Path, image: U8) -> None:
    write_bytes(path, cv2.imencode(".png", image)[1].tobytes())


def _read(path: Path) -> U8:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise CgnetError(f"{path} can't be read: an engine's labels are gone")
    return np.asarray(image, np.uint8)
