"""mIoU where light, colour or focus are not those of the data: frames are changed, their labels stay.

    python -m cgnet_deploy.bench.tools.robust --engine official.pth --engine camvid.pth --data camvid --every 4

A camera sees dusk, glare and rain on its lens; a network, or its int8 file, may be as good as another by day and
worse then. The changes are of CHANGES, each with one strength, and the same for all engines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.data.dataset import Dataset, check_classes, scored_images
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.evaluation import confusion_of
from cgnet_deploy.pixels import U8
from cgnet_deploy.tables import text_table
from cgnet_deploy.terminal import Parser, integer, run, show
from cgnet_deploy.threads import cores

Change = Callable[[U8], U8]  # (H, W, 3) u8 BGR -> the same


def main(argv: Sequence[str] | None = None) -> int:
    return run(_parser(), _robust, argv)


def _parser() -> Parser:
    result = Parser("python -m cgnet_deploy.bench.tools.robust", "mIoU on frames of other light, colour and focus.")
    add = result.add_argument
    add("--engine", action="append", required=True, metavar="FILE", help="as of cgnet-bench; repeat it to compare")
    add("--data", required=True, metavar="DIR", help="labelled frames")
    add("--split", default="val", help="of --data (default: %(default)s)")
    add("--every", type=integer(1, 10_000), default=1, metavar="N", help="take every Nth image (default: %(default)s)")
    add("--threads", type=integer(1, 1024), default=cores(), metavar="N", help="CPU threads (default: %(default)s)")
    return result


def _robust(args: argparse.Namespace) -> int:
    data = open_dataset(args.data, args.split)
    images = scored_images(data, range(0, len(data), args.every))
    columns = []
    for ref in args.engine:
        with open_engine(ref, threads=args.threads) as engine:
            check_classes(data, engine.info.spec.classes)
            columns.append([miou(engine, change, data, images) for change in CHANGES.values()])
    rows = [(name, *(f"{one:.2f}" for one in found)) for name, *found in zip(CHANGES, *columns, strict=True)]
    means = [f"{np.mean(column[1:]):.2f}" for column in columns]
    show(text_table(("", *args.engine), [*rows, ("mean of the changed", *means)], args.engine))
    return 0


def miou(engine: Engine, change: Change, data: Dataset, images: Sequence[int]) -> float:
    """In percent, of `images`, each changed."""
    info = engine.info

    def label(frames: U8) -> U8:
        return engine.infer(np.stack([change(frame) for frame in frames]))

    return 100 * confusion_of(label, data, info.res, batch=info.shape[0] or 1, images=images).miou


def _rounded(values: npt.NDArray[np.floating[Any]]) -> U8:
    rounded: U8 = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def gamma(exponent: float) -> Change:
    """Above 1 darkens."""
    return lambda frame: _rounded(255 * (frame / 255.0) ** exponent)


def gains(blue: float, green: float, red: float) -> Change:
    """Exposure where all are equal, else the colour of the light."""
    return lambda frame: _rounded(frame * np.array((blue, green, red)))


def contrast(factor: float) -> Change:
    """About the frame's mean."""
    return lambda frame: _rounded((frame - frame.mean()) * factor + frame.mean())


def colours(turn: int, saturation: float) -> Change:
    """turn: of the hue, in units of 2 degrees."""

    def change(frame: U8) -> U8:
        hue, strength, value = cv2.split(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV))
        turned = ((hue.astype(np.int16) + turn) % 180).astype(np.uint8)
        return np.asarray(
            cv2.cvtColor(cv2.merge((turned, _rounded(strength * saturation), value)), cv2.COLOR_HSV2BGR), np.uint8
        )

    return change


def noise(deviation: float) -> Change:
    """The same for all frames."""
    return lambda frame: _rounded(frame + np.random.default_rng(0).normal(0, deviation, frame.shape))


def blur(deviation: float) -> Change:
    """deviation: of the Gaussian, in pixels."""
    return lambda frame: np.asarray(cv2.GaussianBlur(frame, (0, 0), deviation), np.uint8)


CHANGES: dict[str, Change] = {
    "as it is": lambda frame: frame,
    "gamma 0.5": gamma(0.5),
    "gamma 2": gamma(2.0),
    "exposure x 0.4": gains(0.4, 0.4, 0.4),
    "exposure x 1.5": gains(1.5, 1.5, 1.5),
    "warm light": gains(0.8, 1.0, 1.25),
    "cold light": gains(1.25, 1.0, 0.8),
    "contrast x 0.5": contrast(0.5),
    "contrast x 1.5": contrast(1.5),
    "hue + 16 degrees": colours(8, 1.0),
    "hue - 16 degrees": colours(-8, 1.0),
    "grey": colours(0, 0.0),
    "saturation x 1.6": colours(0, 1.6),
    "noise, deviation 8": noise(8.0),
    "noise, deviation 15": noise(15.0),
    "blur, 1 pixel": blur(1.0),
    "blur, 2 pixels": blur(2.0),
}


if __name__ == "__main__":
    sys.exit(main())
