"""One data set of four classes, written in every format that takes classes of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import yaml
from PIL import Image

from cgnet_deploy.pixels import U8

NAMES = ("road", "vehicle", "person", "other")
PALETTE = ((128, 64, 128), (0, 0, 142), (220, 20, 60), (70, 70, 70))
IGNORE, VOID = 255, (0, 0, 0)


class Sample(NamedTuple):
    """frame: (H, W, 3) u8 BGR. labels: (H, W) u8, 0 to 3, or IGNORE."""

    split: str
    name: str
    frame: U8
    labels: U8


# CamVid's eleven classes and void -> ours.
FROM_CAMVID = np.array([3, 3, 3, 0, 3, 3, 3, 3, 1, 2, 2, IGNORE], np.uint8)


def samples_of(camvid: Path, count: int) -> Iterator[Sample]:
    """The first frames of train and val of CamVid, with our four classes."""
    for split in ("train", "val"):
        for path in sorted((camvid / split).iterdir())[:count]:
            stored = cv2.imread(str(camvid / f"{split}annot" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
            frame = cv2.imread(str(path))
            assert frame is not None
            assert stored is not None
            yield Sample(split, path.stem, np.asarray(frame, np.uint8), FROM_CAMVID[stored])


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def picture(path: Path, frame: U8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame[..., ::-1]).save(path)


def grey(path: Path, labels: U8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def indexed(path: Path, labels: U8) -> None:
    """A palette PNG: its indices are the labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette([value for colour in PALETTE for value in colour] + [0] * 3 * (256 - len(PALETTE)))
    image.save(path)


def coloured(path: Path, labels: U8) -> None:
    table = np.zeros((256, 3), np.uint8)
    table[: len(PALETTE)] = PALETTE
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(table[labels]).save(path)


def names_only(folder: Path) -> None:
    put(folder / "data.yaml", yaml.safe_dump({"names": list(NAMES), "palette": [list(colour) for colour in PALETTE]}))


def yaml_grey(folder: Path, samples: Sequence[Sample]) -> None:
    """As Ultralytics: images/SPLIT, masks/SPLIT and a description."""
    for one in samples:
        picture(folder / "images" / one.split / f"{one.name}.png", one.frame)
        grey(folder / "masks" / one.split / f"{one.name}.png", one.labels)
    entries = {"path": ".", "train": "images/train", "val": ["images/val"], "masks_dir": "masks"}
    palette = {"palette": [list(colour) for colour in PALETTE]}
    put(folder / "data.yaml", yaml.safe_dump(entries | {"names": dict(enumerate(NAMES))} | palette))


def yaml_roboflow(folder: Path, samples: Sequence[Sample]) -> None:
    """As Roboflow lays folders out, and names them in the description: one step too high."""
    for one in samples:
        split = folder / {"train": "train", "val": "valid"}[one.split]
        picture(split / "images" / f"{one.name}.png", one.frame)
        grey(split / "masks" / f"{one.name}.png", one.labels)
    entries = {"train": "../train/images", "val": "../valid/images", "masks_dir": "masks", "nc": 4}
    palette = {"palette": [list(colour) for colour in PALETTE]}
    put(folder / "data.yaml", yaml.safe_dump(entries | {"names": list(NAMES)} | palette))


def yaml_colours(folder: Path, samples: Sequence[Sample]) -> None:
    """RGB masks as BMP, text files of pictures, and the meaning of each colour."""
    for one in samples:
        picture(folder / "images" / f"{one.name}.bmp", one.frame)
        coloured(folder / "colours" / f"{one.name}.bmp", one.labels)
    for split in ("train", "val"):
        put(folder / f"{split}.txt", "".join(f"images/{one.name}.bmp\n" for one in samples if one.split == split))
    values = {",".join(map(str, colour)): name for name, colour in zip(NAMES, PALETTE, strict=True)} | {
        "0,0,0": "ignore"
    }
    entries = {"train": "train.txt", "val": "val.txt", "masks_dir": "colours", "names": list(NAMES), "values": values}
    put(folder / "data.yaml", yaml.safe_dump(entries | {"palette": [list(colour) for colour in PALETTE]}))


def yaml_values(folder: Path, samples: Sequence[Sample]) -> None:
    """16-bit masks whose values stand for several things at once."""
    stored = np.zeros(256, np.uint16)
    stored[[0, 1, 2, 3, IGNORE]] = (7, 26, 24, 1000, 0)
    for one in samples:
        picture(folder / "images" / one.split / f"{one.name}.png", one.frame)
        grey(folder / "labels" / one.split / f"{one.name}.tif", stored[one.labels])  # type: ignore[arg-type]
    values = {7: "road", 8: "road", 26: "vehicle", 24: "person", 25: "person", 1000: 3, 0: "ignore"}
    entries = {
        "train": "images/train",
        "val": "images/val",
        "masks_dir": "labels",
        "names": list(NAMES),
        "values": values,
    }
    put(folder / "data.yaml", yaml.safe_dump(entries | {"palette": [list(colour) for colour in PALETTE]}))


def lists(folder: Path, samples: Sequence[Sample]) -> None:
    for split in ("train", "val"):
        names = "".join(f"{one.name}\n" for one in samples if one.split == split)
        put(folder / "ImageSets" / "Segmentation" / f"{split}.txt", names)


def cvat(folder: Path, samples: Sequence[Sample]) -> None:
    """CVAT's "Segmentation mask 1.1"."""
    for one in samples:
        picture(folder / "JPEGImages" / f"{one.name}.png", one.frame)
        coloured(folder / "SegmentationClass" / f"{one.name}.png", one.labels)
    lists(folder, samples)
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in zip(NAMES, PALETTE, strict=True)]
    put(folder / "labelmap.txt", "# label:color_rgb:parts:actions\n" + "\n".join([*lines, "void:0,0,0::"]) + "\n")


def labelme(folder: Path, samples: Sequence[Sample]) -> None:
    """labelme's VOC export: palette PNG and class_names.txt; its colours are VOC's, so ours stand in a description."""
    for one in samples:
        picture(folder / "JPEGImages" / f"{one.name}.png", one.frame)
        indexed(folder / "SegmentationClass" / f"{one.name}.png", one.labels)
    lists(folder, samples)
    put(folder / "class_names.txt", "__ignore__\n" + "\n".join(NAMES) + "\n")


def mmseg(folder: Path, samples: Sequence[Sample]) -> None:
    for one in samples:
        picture(folder / "img_dir" / one.split / f"{one.name}.jpg", one.frame)
        indexed(folder / "ann_dir" / one.split / f"{one.name}.png", one.labels)
    names_only(folder)


def no_splits(folder: Path, samples: Sequence[Sample]) -> None:
    for one in samples:
        picture(folder / "images" / f"{one.name}.png", one.frame)
        grey(folder / "annotations" / f"{one.name}.png", one.labels)
    names_only(folder)


def camvid_colours(folder: Path, samples: Sequence[Sample]) -> None:
    """CamVid as its authors ship it."""
    for one in samples:
        picture(folder / "701_StillsRaw_full" / f"{one.name}.png", one.frame)
        coloured(folder / "LabeledApproved_full" / f"{one.name}_L.png", one.labels)
    lines = [f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in zip((*NAMES, "Void"), (*PALETTE, VOID), strict=True)]
    put(folder / "label_colors.txt", "\n".join(lines) + "\n")


def segnet(folder: Path, samples: Sequence[Sample]) -> None:
    """SegNet's CamVid, whose eleven classes a description merges; two stored values become one class."""
    stored = np.full(256, 11, np.uint8)
    stored[:4] = 3, 8, 9, 0
    for one in samples:
        labels = stored[one.labels]
        labels[:6][labels[:6] == 0] = 5  # Tree, as Sky, is "other"
        picture(folder / one.split / f"{one.name}.png", one.frame)
        grey(folder / f"{one.split}annot" / f"{one.name}.png", labels)
    values = {3: "road", 8: "vehicle", 9: "person", 10: "person", 0: "other", 5: "other", 11: "ignore"}
    described(folder, values=values)


def cityscapes(folder: Path, samples: Sequence[Sample]) -> None:
    """Label ids, with Ultralytics' label_mapping."""
    ids = np.zeros(256, np.uint8)
    ids[:4] = 7, 26, 24, 11
    for one in samples:
        place = Path(one.split) / "town"
        picture(folder / "leftImg8bit" / place / f"{one.name}_leftImg8bit.png", one.frame)
        grey(folder / "gtFine" / place / f"{one.name}_gtFine_labelIds.png", ids[one.labels])
    described(folder, label_mapping={-1: "ignore_label", 0: "ignore_label", 7: 0, 26: 1, 24: 2, 11: 3})


def sixteen_bits(folder: Path, samples: Sequence[Sample]) -> None:
    for one in samples:
        picture(folder / "images" / one.split / f"{one.name}.bmp", one.frame)
        mask = folder / "labels" / one.split / f"{one.name}.tif"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one.labels.astype(np.uint16)).save(mask)
    described(folder)


def described(folder: Path, **entries: object) -> None:
    palette = [list(colour) for colour in PALETTE]
    put(folder / "data.yaml", yaml.safe_dump({"names": list(NAMES), "palette": palette} | entries))


# How it is written, what it is recognised as, and whether its own splits are kept.
WRITERS: dict[str, tuple[Callable[[Path, Sequence[Sample]], None], str, bool]] = {
    "yaml, grey": (yaml_grey, "YAML", True),
    "yaml, as Roboflow": (yaml_roboflow, "YAML", True),
    "yaml, colours": (yaml_colours, "YAML", True),
    "yaml, values": (yaml_values, "YAML", True),
    "cvat": (cvat, "VOC", True),
    "labelme": (labelme, "VOC", True),
    "mmsegmentation": (mmseg, "YAML on folders", True),
    "16 bits": (sixteen_bits, "YAML on folders", True),
    "camvid": (segnet, "YAML on CamVid", True),
    "cityscapes": (cityscapes, "YAML on Cityscapes", True),
    "without splits": (no_splits, "YAML on folders", False),
    "camvid in colours": (camvid_colours, "CamVid in colours", False),
}
