"""Small data sets on disk, in the layouts that are recognised."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.spec import Res

CITY_RES = Res(64, 128)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def spoil(path: Path, fault: str) -> None:
    """Cut a picture behind its header, or leave its header only: either shows when it is decoded."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3] if fault == "cut" else content[:64] + bytes(len(content) - 64))


def camvid_tree(folder: Path, images: int = 3) -> Path:
    """train and val of 48x64 in the SegNet layout; the first row of every label map is void."""
    for split in ("train", "val"):
        drawn = open_dataset("scenes:1:48x64", split)
        for i in range(images):
            labels = drawn.labels(i)
            labels[0] = 11
            write(folder / split / f"{split}{i}.png", drawn.frame(i))
            write(folder / f"{split}annot" / f"{split}{i}.png", labels)
    return folder


def cityscapes_tree(folder: Path, res: Res = CITY_RES, images: int = 3) -> Path:
    """train and val as Cityscapes is unpacked, labelled by label id, the first rows 0 (unlabelled)."""
    rng = np.random.default_rng(0)
    for split, city in (("train", "aachen"), ("val", "lindau")):
        for i in range(images):
            name = f"{city}_{i:06d}_000019"
            blocks = rng.integers(0, 34, (res.height // 16, res.width // 16), np.uint8)
            labels = np.kron(blocks, np.ones((16, 16), np.uint8))
            labels[:8] = 0
            frame = np.stack([labels * 7, 255 - labels * 5, labels * 3], -1)
            write(folder / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", frame)
            write(folder / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", labels)
    return folder
