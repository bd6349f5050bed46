"""Pictures and label maps from files: sizes known before decoding, and what is refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cgnet_deploy.data.images import IMAGE_SUFFIXES, image_size, images_in, read_image
from cgnet_deploy.data.masks import read_mask
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
def test_the_header_gives_the_size_that_decoding_gives(suffix: str, options: list[int], tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encoded(suffix, options))
    assert (*image_size(path), 3) == read_image(path).shape == PICTURE.shape


@pytest.mark.parametrize(("suffix", "options"), ENCODINGS)
def test_a_cut_header_is_refused(suffix: str, options: list[int], tmp_path: Path) -> None:
    content, path = encoded(suffix, options), tmp_path / "picture"
    for count in range(20):
        path.write_bytes(content[:count])
        with pytest.raises(DataError, match=r"is not a PNG, JPEG, WebP, BMP, TIFF, PNM, GIF|cut or damaged"):
            image_size(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-12],
        lambda content: content[:-1],
        lambda content: content[:600] + bytes(20) + content[620:],
        lambda content: content[:600] + bytes([content[600] ^ 1]) + content[601:],
    ],
    ids=["half", "without IEND", "but a byte", "zeros", "a bit"],
)
def test_a_damaged_png_is_refused_before_libpng_prints_its_own_line(
    spoil: Callable[[bytes], bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "a.png").write_bytes(spoil(encoded(".png", [])))
    with pytest.raises(DataError, match="cut or damaged"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_a_png_is_not_judged_by_what_no_reader_needs(tmp_path: Path) -> None:
    content = encoded(".png", [])
    text = struct.pack(">I", 3) + b"tEXt" + b"a\0b" + bytes(4)  # its checksum is wrong
    (path := tmp_path / "a.png").write_bytes(content[:-12] + text + content[-12:] + b"more")
    assert np.array_equal(read_image(path), PICTURE)


COMMAND = """
import sys
from pathlib import Path
from cgnet_deploy.terminal import Parser, run

def read(_):
    from cgnet_deploy.data.images import read_image
    print(read_image(Path(sys.argv[1])).shape)
    return 0

raise SystemExit(run(Parser("x", "x"), read, []))
"""


def test_opencv_keeps_silent_in_a_command(tmp_path: Path) -> None:
    """It reports a TIFF's orientation that is none, and has read the picture."""
    exif = Image.Exif()
    exif[0x112] = 0
    Image.fromarray(PICTURE).save(path := tmp_path / "a.tif", exif=exif)
    free = {name: value for name, value in os.environ.items() if name != "OPENCV_LOG_LEVEL"}
    run = subprocess.run([sys.executable, "-c", COMMAND, str(path)], env=free, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "(37, 53, 3)\n", "")


def test_lossless_pictures_are_read_exactly(tmp_path: Path) -> None:
    for suffix, options in (ENCODINGS[0], ENCODINGS[4]):
        path = tmp_path / f"picture{suffix}"
        path.write_bytes(encoded(suffix, options))
        assert np.array_equal(read_image(path), PICTURE)


def test_pictures_of_a_folder_are_sorted(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.webp", "c.jpeg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in images_in(tmp_path)] == ["a.webp", "b.PNG", "c.jpeg"]


def test_what_is_skipped_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (
        "a.png",
        "b.JPG",
        "c.hdr",
        "clip.mp4",
        "d.heic",
        "e.psd",
        "notes.txt",
        "._a.png",
        ".DS_Store",
        "Thumbs.db",
    ):
        (tmp_path / name).touch()
    images_in(tmp_path)
    assert "skipping c.hdr, clip.mp4, d.heic and 2 more: not called as" in caplog.text


def test_no_name_of_the_user_s_is_a_system_s(tmp_path: Path) -> None:
    (path := tmp_path / "lost+found_1.png").touch()
    assert images_in(tmp_path) == [path]


def test_a_folder_called_as_a_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "dir.png").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "dir.png")
    assert images_in(tmp_path) == [tmp_path / "a.png"]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_that_is_taken_can_be_read(suffix: str, tmp_path: Path) -> None:
    content = Image.fromarray(PICTURE[..., 0] > 127 if suffix == ".pbm" else PICTURE)
    content.save(tmp_path / f"a{suffix.upper()}", format="BMP" if suffix == ".dib" else None)
    (path,) = images_in(tmp_path)
    assert read_image(path).shape == PICTURE.shape
    assert image_size(path) == PICTURE.shape[:2]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        images_in(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        images_in(tmp_path / "missing")


def png_of_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(".png", []))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def webp_of_size(width: int, height: int) -> bytes:
    """A lossy picture that claims another size, in a container that claims it too."""
    still = encoded(".webp", [cv2.IMWRITE_WEBP_QUALITY, 80])
    frame = bytearray(still[12:])
    frame[14:18] = struct.pack("<HH", width, height)
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + bytes(frame)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a PNG, JPEG, WebP, BMP, TIFF, PNM, GIF"),
        (b"hello" * 100, "is not a PNG, JPEG, WebP, BMP, TIFF, PNM, GIF"),
        (encoded(".png", [])[:400], "can't be decoded"),
        (encoded(".jpg", [])[:100], "can't be decoded"),
        (encoded(".webp", [])[:400], "can't be decoded"),
        (png_of_size(100_000, 100_000), "is 100000x100000"),
        (png_of_size(10_000, 9_000), "is 9000x10000"),
        (webp_of_size(10_000, 9_000), "is 9000x10000"),
        (webp_of_size(16_383, 16_383), "has more than 33554432 pixels|is 16383x16383"),  # Pillow reads it, or not
        (png_of_size(0, 5), "can't be decoded"),
    ],
)
def test_a_file_that_is_not_a_picture_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_image(tmp_path / "missing.png")


def test_a_grey_mask_is_read_as_stored(tmp_path: Path) -> None:
    labels = PICTURE[..., 0]
    path = tmp_path / "labels.png"
    for stored in (labels, labels.astype(np.uint16)):
        path.write_bytes(encoded(".png", [], stored))
        mask = read_mask(path)
        assert mask.kind == "values"
        assert np.array_equal(mask.pixels, labels)
    path.write_bytes(encoded(".jpg", [], labels))
    with pytest.raises(DataError, match="is no mask: a mask saved as JPEG"):
        read_mask(path)


@pytest.mark.timeout(30)
def test_a_fifo_called_as_a_picture_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is no regular file; wanted a picture"):
        read_image(tmp_path / "a.png")
