"""Pictures and label maps from files: sizes told before decoding, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.data.header import parse_header
from cgnet_deploy.data.images import images_in, read_image, read_labels
from cgnet_deploy.errors import DataError

PICTURE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)

ENCODINGS = [
    (".png", []),
    (".jpg", []),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100 is lossless: another kind of chunk
]


def encoded(suffix: str, options: list[int], picture: np.ndarray = PICTURE) -> bytes:
    done, content = cv2.imencode(suffix, picture, options)
    assert done
    return content.tobytes()


@pytest.mark.parametrize(("suffix", "options"), ENCODINGS)
def test_header_tells_the_size_that_decoding_gives(suffix: str, options: list[int], tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encoded(suffix, options))
    header = parse_header(path.read_bytes())
    assert header is not None
    assert (header.height, header.width, 3) == read_image(path).shape == PICTURE.shape


def test_header_of_an_extended_webp() -> None:
    size = (1000 - 1).to_bytes(3, "little") + (600 - 1).to_bytes(3, "little")
    header = parse_header(b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + size)
    assert header is not None
    assert (header.height, header.width) == (600, 1000)


@pytest.mark.parametrize(("suffix", "options"), ENCODINGS)
def test_a_cut_header_is_no_header(suffix: str, options: list[int]) -> None:
    content = encoded(suffix, options)
    assert all(parse_header(content[:n]) is None for n in range(20))


def test_lossless_pictures_are_read_exactly(tmp_path: Path) -> None:
    for suffix, options in (ENCODINGS[0], ENCODINGS[4]):
        path = tmp_path / f"picture{suffix}"
        path.write_bytes(encoded(suffix, options))
        assert np.array_equal(read_image(path), PICTURE)


def test_pictures_of_a_folder_are_sorted(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.webp", "c.jpeg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in images_in(tmp_path)] == ["a.webp", "b.PNG", "c.jpeg"]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        images_in(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        images_in(tmp_path / "missing")


def png_of_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(".png", []))
    content[16:24] = struct.pack(">II", width, height)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a PNG, JPEG or WebP"),
        (b"hello" * 100, "is not a PNG, JPEG or WebP"),
        (encoded(".png", [])[:400], "can't be decoded"),
        (encoded(".webp", [])[:400], "can't be decoded"),
        (png_of_size(100_000, 100_000), "is 100000x100000"),
        (png_of_size(0, 5), "is 5x0"),
    ],
)
def test_what_is_no_picture(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_image(tmp_path / "missing.png")


def test_a_label_map_has_one_grey_channel(tmp_path: Path) -> None:
    labels = PICTURE[..., 0]
    path = tmp_path / "labels.png"
    path.write_bytes(encoded(".png", [], labels))
    assert np.array_equal(read_labels(path), labels)
    deep = labels.astype(np.uint16)
    for content in (encoded(".png", []), encoded(".jpg", [], labels), encoded(".png", [], deep)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not a label map"):
            read_labels(path)
