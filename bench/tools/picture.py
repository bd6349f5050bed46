"""The picture of the README: a drawn street scene, and beside it the labels of the shipped network laid over it.

python -m cgnet_deploy.bench.tools.picture docs/overlay.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

import cgnet_deploy
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.files import write_bytes
from cgnet_deploy.pixels import overlay
from cgnet_deploy.terminal import Parser, run
from cgnet_deploy.video.segmenter import Segmenter

WEIGHTS = Path(cgnet_deploy.__file__).parent / "weights" / "scenes.pth"
SCENE = 7  # of the split val
QUALITY = 85


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes as of cgnet-video."""
    parser = Parser("python -m cgnet_deploy.bench.tools.picture", "Draw the picture of the README.")
    parser.add_argument("out", type=Path, metavar="FILE.jpg")

    def command(args: argparse.Namespace) -> int:
        draw(args.out)
        return 0

    return run(parser, command, argv)


def draw(out: Path) -> None:
    """Write the scene and its overlay, side by side."""
    frame = open_dataset("scenes", "val").frame(SCENE)
    with Segmenter(str(WEIGHTS)) as segmenter:
        both = np.hstack([frame, overlay(frame, segmenter.segment(frame), segmenter.info.spec)])
    write_bytes(out, cv2.imencode(".jpg", both, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes())


if __name__ == "__main__":
    raise SystemExit(main())
