"""What is no picture, or not one that can be read, is named, with what to do; no file is taken for its first one."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cgnet_deploy.data.images import image_size, images_in, read_image
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.errors import DataError
from cgnet_deploy.label.archive import items_of
from cgnet_deploy.video.source import open_source

PICTURE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
GREY = PICTURE[..., 0]
ANIMATED = [".tif", ".gif", ".png", ".webp", ".avif"]
UINT, INT, FLOAT, COMPLEX = 1, 2, 3, 6  # TIFF's SampleFormat


def box(*kinds: bytes) -> bytes:
    """How a file of the MP4 family begins."""
    listed = kinds[0] + bytes(4) + b"".join(kinds)
    return struct.pack(">I4s", 8 + len(listed), b"ftyp") + listed + b"\0\0\1\0meta" + bytes(60)


def tiff(pixels: np.ndarray, number: int, compression: int = 1) -> bytes:
    """(H, W) or (H, W, C) as an intact TIFF of one strip."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data, bits = pixels.tobytes(), pixels.dtype.itemsize * 8
    entries = ((256, width), (257, height), (258, bits), (259, compression), (262, 1), (273, 8), (277, channels))
    more = ((278, height), (279, len(data)), (339, number))
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries + more)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", 10) + directory + bytes(4)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ANIMATED)
def test_several_pictures_are_not_taken_for_the_first(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PICTURE).save(path, save_all=True, append_images=[Image.fromarray(255 - PICTURE)])
    assert "holds several pictures" in refusal(path)
    for read in (image_size, read_mask):
        with pytest.raises(DataError, match="holds several pictures"):
            read(path)


@pytest.mark.parametrize("suffix", ANIMATED)
def test_a_file_of_one_picture_may_say_that_it_could_hold_more(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / f"a{suffix}", save_all=True)
    assert read_image(tmp_path / f"a{suffix}").shape == PICTURE.shape


def pnm(kind: int, most: int = 255) -> bytes:
    """A picture of 3x5 pixels as P1 to P6, its pixels as much like a header as they can be."""
    height, width, channels = 3, 5, 3 if kind in (3, 6) else 1
    limit = b"" if kind in (1, 4) else b"%d\n" % most
    header = b"P%d\n# P6 5 3 255 \n%d %d\n" % (kind, width, height) + limit
    if kind == 4:
        return header + b"P6\n"
    count = height * width * channels
    if kind < 4:
        return header + b"# P3 \n" + b"1 " * count + b"\n"
    return header + (b" P6\n" * count)[: count * (2 if most > 255 else 1)]


PNM = [(1, 1), (2, 255), (3, 255), (4, 1), (5, 255), (5, 65535), (6, 255), (6, 1023)]


@pytest.mark.parametrize(("kind", "most"), PNM)
def test_pnm_after_pnm_is_not_taken_for_the_first(kind: int, most: int, tmp_path: Path) -> None:
    """As ffmpeg and raspistill write frame after frame to one stream."""
    (path := tmp_path / "a.pnm").write_bytes(pnm(kind, most))
    assert read_image(path).shape == (3, 5, 3)
    path.write_bytes(pnm(kind, most) + b"\n")
    assert read_image(path).shape == (3, 5, 3)
    path.write_bytes(pnm(kind, most) + pnm(kind, most))
    assert "holds several pictures" in refusal(path)
    path.write_bytes(pnm(kind, most) + b"\n" + pnm(6))
    assert "holds several pictures" in refusal(path)


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_page_s_smaller_copies_and_its_mask_are_no_other_pictures(kind: int, tmp_path: Path) -> None:
    smaller = Image.fromarray(PICTURE[::2, ::2])
    smaller.encoderinfo = {"tiffinfo": {254: kind}}  # NewSubfileType
    Image.fromarray(PICTURE).save(tmp_path / "a.tif", save_all=True, append_images=[smaller])
    assert np.array_equal(read_image(tmp_path / "a.tif"), PICTURE[..., ::-1])
    assert read_mask(tmp_path / "a.tif").pixels.shape == PICTURE.shape[:2]


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        *((np.float16, FLOAT), (np.float32, FLOAT), (np.float64, FLOAT), (np.complex64, COMPLEX)),
        *((np.int8, INT), (np.int16, INT), (np.int32, INT), (np.uint32, UINT)),
    ],
)
def test_pixels_that_are_not_read_are_named(
    dtype: type, number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "a.tif").write_bytes(tiff(GREY.astype(dtype), number))
    assert f"has pixels of {np.dtype(dtype)}; wanted uint8 or uint16: convert it" in refusal(path)
    assert capfd.readouterr().err == ""  # nor does OpenCV say anything


def test_a_mask_of_such_pixels_is_named_too(tmp_path: Path) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        (path := tmp_path / "a.tif").write_bytes(tiff(GREY.astype(dtype), FLOAT))
        with pytest.raises(DataError, match=rf"has pixels of {np.dtype(dtype)}; wanted uint8 or uint16"):
            read_mask(path)


def test_more_channels_than_colours_are_named(tmp_path: Path) -> None:
    (path := tmp_path / "a.tif").write_bytes(tiff(np.zeros((4, 5, 6), np.uint8), UINT))
    assert "has 6 channels; wanted 1 to 4" in refusal(path)


@pytest.mark.parametrize(("number", "name"), [(34925, "lzma"), (50000, "zstd"), (34887, "34887")])
def test_a_compression_that_is_not_read_is_named(
    number: int, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "a.tif").write_bytes(tiff(GREY, UINT, number))
    assert f"is compressed by {name}; wanted LZW, Deflate or no compression" in refusal(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_read_stays_so_and_cut_is_called_cut(dtype: type, tmp_path: Path) -> None:
    content = tiff(GREY.astype(dtype), UINT)
    (path := tmp_path / "a.tif").write_bytes(content)
    assert read_image(path).shape == PICTURE.shape
    path.write_bytes(content[:-60])
    assert "cut or damaged" in refusal(path)


def test_a_bigtiff_is_read(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.tif", big_tiff=True)
    assert np.array_equal(read_image(tmp_path / "a.tif"), PICTURE[..., ::-1])


def array() -> bytes:
    np.save(stream := io.BytesIO(), PICTURE)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        *((box(kind), "is HEIC or another HEIF: heif-convert") for kind in (b"heic", b"heix", b"msf1")),
        (box(b"mif1", b"heic"), "is HEIC or another HEIF: heif-convert"),
        (b"\xff\x0a" + bytes(60), "is JPEG XL: djxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"jxl "), "is JPEG XL: djxl"),
        (b"8BPS\0\1" + bytes(60), "is a Photoshop file"),
        (b"v/1\x01" + bytes(60), "is OpenEXR, of floating-point pixels"),
        (b"#?RADIANCE\n", "is Radiance HDR, of floating-point pixels"),
        (b"PF\n53 37\n-1.0\n", "is PFM, of floating-point pixels"),
        (array(), "is an array of NumPy"),
        (box(b"isom", b"avc1"), "is a video: ffmpeg -i IN"),
        (b"\n<!DOCTYPE html>", "is a web page"),
        (b'{"error": 404}', "is JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    ],
    ids=[
        "heic",
        "heix",
        "msf1",
        "mif1",
        "jxl",
        "jxl box",
        "psd",
        "exr",
        "hdr",
        "pfm",
        "npy",
        "mp4",
        "page",
        "json",
        "lfs",
    ],
)
def test_a_file_that_is_called_a_picture_is_named_for_what_it_is(content: bytes, says: str, tmp_path: Path) -> None:
    (path := tmp_path / "a.jpg").write_bytes(content)
    assert f"{path} {says}" in refusal(path)


def test_an_avif_may_call_itself_by_heif_s_general_name(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.avif")
    content = (tmp_path / "a.avif").read_bytes()
    assert content[8:12] == b"avif"
    (tmp_path / "a.jpg").write_bytes(content[:8] + b"mif1" + content[12:])
    assert read_image(tmp_path / "a.jpg").shape == PICTURE.shape


@pytest.mark.parametrize(("name", "content"), [("a.heic", box(b"heic")), ("a.jxl", b"\xff\x0a\0"), ("a", box(b"mif1"))])
def test_such_a_picture_is_named_wherever_it_is_given(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    named = "is (HEIC or another HEIF: heif-convert|JPEG XL: djxl)"
    with pytest.raises(DataError, match=rf"holds no picture .*; {name} {named}"):
        images_in(tmp_path)
    with pytest.raises(DataError, match=rf"holds no picture and no video .*; {name} {named}"):
        items_of(str(tmp_path))
    with pytest.raises(DataError, match=named):
        list(open_source(str(tmp_path / name)))


def test_one_that_is_skipped_among_others_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(box(b"heic"))
    assert images_in(tmp_path) == [tmp_path / "a.png"]
    assert "skipping b.heic: not called as a picture that can be read; b.heic is HEIC" in caplog.text
    caplog.clear()
    assert len(items_of(str(tmp_path))) == 1
    assert "1 files are neither pictures nor videos; b.heic is HEIC" in caplog.text
