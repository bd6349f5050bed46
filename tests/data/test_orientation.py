"""Pictures with an EXIF orientation are upright wherever they are read, as OpenCV's imread and viewers show them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from cgnet_deploy.data.dataset import FileDataset
from cgnet_deploy.data.images import image_size, read_image
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.video.source import open_source
from tests.data.own import Sample, yaml_grey

ORIENTATION = 0x0112
WIDE = np.array([[250, 20, 90], [40, 180, 0]], np.uint8).repeat(16, 0).repeat(16, 1)  # no symmetry
SUFFIXES = (".jpg", ".png", ".webp", ".tiff")


def write(path: Path, orientation: int, pixels: np.ndarray = WIDE) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif, quality=95, lossless=True)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{suffix}", orientation)
    with Image.open(write(tmp_path / "reference.png", orientation)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.int16)[..., ::-1]
    found = read_image(path)
    assert found.shape == upright.shape == (*image_size(path), 3)
    assert np.abs(found - upright).max() <= 12  # JPEG's loss; another turn differs by 150 and more
    if suffix != ".tiff":
        assert np.array_equal(found, np.asarray(cv2.imread(str(path))))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_mask_is_turned_by_its_own(suffix: str, orientation: int, tmp_path: Path) -> None:
    picture = write(tmp_path / "picture.png", orientation)
    mask = write(tmp_path / f"mask{suffix}", orientation)
    assert np.array_equal(read_mask(mask).pixels, read_image(picture)[..., 0])


def test_every_reader_of_a_folder_sees_the_same(tmp_path: Path, drawn: list[Sample]) -> None:
    yaml_grey(tmp_path, [one._replace(labels=np.ascontiguousarray(one.labels.T)) for one in drawn])
    folder = tmp_path / "images/train"
    for path in folder.iterdir():
        write(path, 6, np.asarray(Image.open(path)))
    dataset = open_dataset(str(tmp_path), "train")
    shown = list(open_source(str(folder)))
    assert len(shown) == len(dataset)
    for i, picture in enumerate(shown):
        assert np.array_equal(dataset.frame(i), picture.pixels)
        assert dataset.frame(i).shape[:2] == dataset.labels(i).shape


def test_a_mask_drawn_on_the_picture_as_stored_is_refused(tmp_path: Path, drawn: list[Sample]) -> None:
    yaml_grey(tmp_path, drawn)
    dataset = open_dataset(str(tmp_path), "train")
    assert isinstance(dataset, FileDataset)
    write(dataset.pairs[0][0], 6, drawn[0].frame)
    with pytest.raises(DataError, match="turned by its EXIF orientation, its mask is not"):
        dataset.labels(0)


def png_with(chunk: bytes, *, last: bool) -> bytes:
    """A PNG with an eXIf chunk before or behind its pixels."""
    content = cv2.imencode(".png", WIDE)[1].tobytes()
    added = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    at = len(content) - 12 if last else 33
    return content[:at] + added + content[at:]


def tiff_header(value: int, kind: int = 3, count: int = 1) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIII", 8, 1, ORIENTATION, kind, count, value, 0)


@pytest.mark.parametrize("last", [False, True])
def test_a_png_may_have_its_exif_behind_the_pixels(last: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with(tiff_header(6), last=last))
    assert np.array_equal(read_image(tmp_path / "a.png")[..., 0], np.rot90(WIDE, -1))
    assert image_size(tmp_path / "a.png") == WIDE.shape[::-1]


@pytest.mark.parametrize(
    "exif",
    [
        *(b"", b"Exif", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"nonsense" * 9, tiff_header(6)[:17]),
        *(tiff_header(value) for value in (0, 9, 65535)),
        *(tiff_header(6, kind, count) for kind, count in ((2, 1), (5, 1), (3, 0), (12, 1 << 31), (99, 1))),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_exif_that_says_nothing_turns_nothing(
    exif: bytes, suffix: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        path.write_bytes(png_with(exif, last=False))
    else:
        content = cv2.imencode(".jpg", WIDE, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
        path.write_bytes(content[:2] + segment + content[2:])
    assert np.abs(read_image(path)[..., 0].astype(int) - WIDE).max() <= 12
    assert image_size(path) == WIDE.shape
    assert not recwarn.list
