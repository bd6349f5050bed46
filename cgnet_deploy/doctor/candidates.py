"""The input contracts that a checkpoint may have been trained with.

Every mean and std that is in use for networks like this one, in both colour orders, and with the mean applied in
the order it is listed in and the other way round: both published code bases do the latter (see contracts.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cgnet_deploy.contracts import CONTRACTS, ONES
from cgnet_deploy.spec import Color, InputSpec, Res, Triple

COLORS: tuple[Color, ...] = ("rgb", "bgr")
ZEROS: Triple = (0.0, 0.0, 0.0)
IMAGENET_MEAN: Triple = (123.675, 116.28, 103.53)  # R, G, B; torchvision's 0.485, 0.456, 0.406 and so on
IMAGENET_STD: Triple = (58.395, 57.12, 57.375)
BYTE: Triple = (255.0, 255.0, 255.0)
HALF: Triple = (127.5, 127.5, 127.5)
SAME = 0.01  # of a grey level: the two published means of Cityscapes are one


@dataclass(frozen=True, slots=True)
class Candidate:
    """origin: where its numbers come from, in words."""

    origin: str
    spec: InputSpec


def candidates(res: Res, frames: npt.NDArray[np.uint8], own: InputSpec | None) -> list[Candidate]:
    """All that are worth trying, no two alike.

    frames: (N, H, W, 3) u8 BGR of the data. own: the default for the file.
    """
    mean, std = statistics(frames)
    listed: list[tuple[str, Triple, Triple]] = [(name, spec.mean, spec.std) for name, spec in CONTRACTS.items()]
    listed += [(f"{name}, 0 to 1", spec.mean, BYTE) for name, spec in CONTRACTS.items()]
    listed += [
        ("ImageNet", IMAGENET_MEAN, IMAGENET_STD),
        ("ImageNet's mean", IMAGENET_MEAN, ONES),
        ("0 to 1", ZEROS, BYTE),
        ("-1 to 1", HALF, HALF),
        ("as they are", ZEROS, ONES),
        ("these frames", mean, std),
        ("these frames' mean", mean, ONES),
    ]
    chosen = [Candidate("the default", own)] if own else []
    for origin, means, stds in listed:
        for color in COLORS:
            for spec, order in orders(InputSpec(means, stds, color, res)):
                if not any(alike(spec, other.spec) for other in chosen):
                    chosen.append(Candidate(f"{origin}{order}", spec))
    return chosen


def orders(spec: InputSpec) -> Iterator[tuple[InputSpec, str]]:
    yield spec, ""
    (a, b, c), (x, y, z) = spec.mean, spec.std
    yield replace(spec, mean=(c, b, a), std=(z, y, x)), ", reversed"


def alike(one: InputSpec, other: InputSpec) -> bool:
    """Do they feed a network the same, to within what no frame shows?"""
    near = np.allclose((one.mean, one.std), (other.mean, other.std), rtol=0, atol=SAME)
    return one.color == other.color and bool(near)


def statistics(frames: npt.NDArray[np.uint8]) -> tuple[Triple, Triple]:
    """Mean and standard deviation of each channel, R, G, B, to two digits."""
    channels = frames[..., ::-1].reshape(-1, 3)
    mean, std = channels.mean(0, dtype=np.float64), np.maximum(channels.std(0, dtype=np.float64), 1)
    (r, g, b), (x, y, z) = (np.round(values, 2).tolist() for values in (mean, std))
    return (r, g, b), (x, y, z)
