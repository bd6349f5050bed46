"""What people have in place of a picture that can be read here, and how they get one from it.

A format that is not read, which a camera or a download may hide behind `.jpg`; pixels or a compression that a TIFF may
have and that OpenCV doesn't read; several pictures in one file.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

BOM = b"\xef\xbb\xbf"
PICTURES = {
    b"\xff\x0a": "JPEG XL: djxl IN OUT.png converts it",
    b"\0\0\0\x0cJXL ": "JPEG XL: djxl IN OUT.png converts it",
    b"8BPS": "a Photoshop file: export it as PNG",
    b"v/1\x01": "OpenEXR, of floating-point pixels: scale them to 0 to 255, and save it as PNG",
    b"#?R": "Radiance HDR, of floating-point pixels: scale them to 0 to 255, and save it as PNG",
    b"PF\n": "PFM, of floating-point pixels: scale them to 0 to 255, and save it as PNG",
    b"Pf\n": "PFM, of floating-point pixels: scale them to 0 to 255, and save it as PNG",
    b"II\xbc\x01": "JPEG XR: save it as PNG",
    b"SIMPLE  =": "FITS: save it as PNG",
}
TO_PICTURES = "a video: ffmpeg -i IN %06d.png makes pictures of it"
OTHERS = {
    b"\x1a\x45\xdf\xa3": TO_PICTURES,
    b"%PDF": "a PDF: export the picture in it as PNG",
    b"\x93NUMPY": "an array of NumPy: save it as PNG",
    b"version https://git-lfs": "a pointer of Git LFS: git lfs pull fetches the file",
    b"<": "a web page, SVG or other XML: was a page saved in place of the download?",
    b"{": "JSON: was an error saved in place of the download?",
}
# What a file of the MP4 family calls itself at its start. HEIF's general names may stand for AVIF too, which is read.
AVIF = {b"avif", b"avis"}
HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
HEAD_BYTES = 256
MOST_OPENED = 1000  # of an archive's other files

TAGS = {"bits": 258, "compression": 259, "channels": 277, "format": 339}
NUMBERS = {1: "uint", 2: "int", 3: "float", 4: "uint", 5: "complex int", 6: "complex"}  # TIFF's SampleFormat
MOST_BITS, MOST_CHANNELS = 16, 4
# None, CCITT's three, LZW, JPEG's two, Deflate's two, PackBits
COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
NEW_SUBFILE_TYPE, REDUCED, MASK = 254, 1, 4
PLAIN = (b"P1", b"P2", b"P3")  # PNM in letters
COMMENT = re.compile(rb"#[^\n\r]*")
MOST_COPIES = 32  # each half as wide as the one before: no picture has more


def is_avif(content: bytes) -> bool:
    return bool(_kinds(content) & AVIF)


def is_picture(path: Path) -> bool:
    """Whether a file is in a picture's format that is not read, or in AVIF, whatever it is called."""
    head = _head(path)
    return head.startswith(tuple(PICTURES)) or bool(_kinds(head) & (AVIF | HEIF))


def named_among(paths: Iterable[Path]) -> str:
    """The first of `paths` that is a picture not taken as one, what it is, and what to do; "" if none is."""
    found = next((path for path in islice(paths, MOST_OPENED) if is_picture(path)), None)
    return f"; {found.name} is {what_it_is(_head(found))}" if found else ""


def what_it_is(content: bytes) -> str | None:
    """Of a file that begins as no picture that is read; None for what isn't known."""
    if kinds := _kinds(content):
        if kinds & AVIF:
            return "AVIF: call it .avif"
        return "HEIC or another HEIF: heif-convert IN OUT.png converts it" if kinds & HEIF else TO_PICTURES
    head = content[:HEAD_BYTES].removeprefix(BOM).lstrip(b" \t\r\n")
    return next((what for first, what in (PICTURES | OTHERS).items() if head.startswith(first)), None)


def _head(path: Path) -> bytes:
    """Nothing of what can't be read, or would be waited for."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(HEAD_BYTES)
    except OSError:
        pass
    return b""


def _kinds(content: bytes) -> set[bytes]:
    """What a file of the MP4 family (ISO 14496-12) calls itself; nothing of others."""
    if content[4:8] != b"ftyp":
        return set()
    listed = content[8 : min(int.from_bytes(content[:4], "big"), HEAD_BYTES)]
    return {listed[at : at + 4] for at in range(0, len(listed), 4) if at != 4}  # at 4 is a version


def holds_several(header: ImageFile, content: bytes) -> bool:
    """Whether a file has more than one picture: frames of an animation, pages, PNM after PNM.

    Not a page's smaller copies and its mask, which GeoTIFF keeps beside it. Raises what Pillow does if it is damaged.
    """
    if header.format == "PPM":
        return _another_pnm(header, content)
    if header.format != "TIFF":
        return bool(getattr(header, "is_animated", False))
    try:
        for page in range(1, MOST_COPIES):
            header.seek(page)
            if not header.tag_v2.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK):  # type: ignore[attr-defined]
                return True
    except EOFError:
        pass
    finally:
        header.seek(0)
    return False


def _another_pnm(header: ImageFile, content: bytes) -> bool:
    """Whether another header follows the pixels, as where programs write frame after frame to one stream."""
    if not header.tile:
        return False
    start = header.tile[0][2]
    kind, numbers = content[:2], COMMENT.sub(b" ", content[2:start]).split()
    if kind in PLAIN:
        return re.search(rb"\sP[1-6]\s", COMMENT.sub(b" ", content[start:])) is not None
    row_bytes = -(-header.width // 8)  # P4: a bit a pixel
    if kind != b"P4":
        row_bytes = header.width * (3 if kind == b"P6" else 1) * (2 if int(numbers[-1]) > 255 else 1)
    rest = content[start + row_bytes * header.height :]
    return re.match(rb"\s*P[1-7]\s", rest) is not None


def odd_pixels(content: bytes) -> str | None:
    """What OpenCV doesn't read of an intact TIFF, and what to do; None if it is none, or nothing is odd."""
    tags = _tags(content)
    bits = tags.get("bits", (1,))
    channels = tags.get("channels", (1,))[0]
    number = NUMBERS.get(tags.get("format", (1,))[0])
    if number is None or not bits or not all(0 < one <= 128 for one in bits) or channels < 1:
        return None
    if number != "uint" or max(bits) > MOST_BITS:
        return f"has pixels of {number}{max(bits)}; wanted uint8 or uint16: convert it"
    if channels > MOST_CHANNELS:
        return f"has {channels} channels; wanted 1 to {MOST_CHANNELS}: save those alone"
    compression = tags.get("compression", (1,))[0]
    if compression not in COMPRESSIONS:
        name = COMPRESSION_INFO.get(compression, compression)
        return f"is compressed by {name}; wanted LZW, Deflate or no compression: save it so"
    return None


def _tags(content: bytes) -> dict[str, tuple[int, ...]]:
    """Of the first page of a TIFF. Pillow's reader keeps them to itself where it knows no such pixels."""
    if content[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return {}
    try:
        with warnings.catch_warnings(action="ignore"):
            directory = ImageFileDirectory_v2(content[: 16 if b"+" in content[:4] else 8])
            stream = io.BytesIO(content)
            stream.seek(directory.next)
            directory.load(stream)
            found = {name: directory.get(tag) for name, tag in TAGS.items()}
    except Exception:  # hostile bytes make the reader raise any
        return {}
    listed = {name: value if isinstance(value, tuple) else (value,) for name, value in found.items()}
    return {name: value for name, value in listed.items() if value and all(isinstance(one, int) for one in value)}
