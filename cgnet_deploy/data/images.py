"""Pictures from files, bounded and checked: PNG, JPEG, WebP, BMP, TIFF and PNM.

Pillow reads the header, OpenCV decodes: a file of a few kilobytes can make a decoder allocate gigabytes, so the size
is bounded first. A mask (masks.py) is checked against its picture without decoding the picture again.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import MAX_PIXELS

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
# What systems put beside the user's files: macOS (._a.png, .DS_Store), Synology, Windows, file systems.
SYSTEM = (".", "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found")
SHOWN = 3
MAX_FILE_BYTES = 256 << 20
DAMAGED = (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error)  # what Pillow raises for such a file
UPRIGHT = 1  # EXIF's orientation of a picture that needs no turn

# Not Image.open: it warns about sizes on a path of its own, and knows fifty more formats.
READERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8": JpegImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"II*\x00": TiffImageFile,
    b"MM\x00*": TiffImageFile,
    **{b"P%d" % kind: PpmImageFile for kind in range(1, 7)},
}


def is_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or the system's and not the user's."""
    return name.startswith(SYSTEM)


def pictures_of(paths: Iterable[Path]) -> list[Path]:
    """The pictures among `paths`, recognised by suffix, sorted. Folders and system files (`._a.png`) are none."""
    return sorted(p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not is_system(p.name) and not p.is_dir())


def images_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name; other files are named in the log. DataError if there is no picture."""
    held = entries(folder)
    images = pictures_of(held)
    if not images:
        raise DataError(f"{folder} holds no picture ({', '.join(IMAGE_SUFFIXES)})")
    others = [p.name for p in held if p.suffix.lower() not in IMAGE_SUFFIXES and not is_system(p.name) and p.is_file()]
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        log.warning(f"{folder}: skipping {', '.join(others[:SHOWN])}{more}: not called as a picture that can be read")
    return images


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted. DataError if it can't be listed."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{folder} is not a folder; wanted a folder of pictures") from None
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}") from error


def read_image(path: Path) -> U8:
    """(H, W, 3) u8 BGR, as stored, unrotated. DataError if it can't be read or decoded, or is too large."""
    content, _ = read_header(path)
    # Orientation tags are ignored, of a picture as of its mask: both are taken as they are stored.
    return _decode(path, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) in pixels, from the header alone."""
    _, header = read_header(path)
    return header.height, header.width


def orientation(path: Path) -> int:
    """EXIF's orientation: 1 upright, 2 to 8 turned or mirrored. Nothing here turns a picture: see `read_image`."""
    _, header = read_header(path)
    if header.format == "PNG" and "exif" not in header.info:
        return UPRIGHT  # Pillow would decode all of it to look behind the pixels
    return int(header.getexif().get(ExifTags.Base.Orientation, UPRIGHT))


def read_header(path: Path) -> tuple[bytes, ImageFile]:
    """The file, and what its header says; nothing is decoded yet."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size} bytes; a picture may have {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    reader = next((reader for magic, reader in READERS.items() if content.startswith(magic)), None)
    if reader is None:
        raise DataError(f"{path} is not a PNG, JPEG, WebP, BMP, TIFF or PNM picture")
    try:
        header = reader(io.BytesIO(content), "")
    except DecompressionBombError:
        raise DataError(f"{path} has more than {MAX_PIXELS} pixels") from None
    except DAMAGED as error:
        raise DataError(f"{path} can't be decoded: it is cut or damaged") from error
    if header.height * header.width > MAX_PIXELS:
        raise DataError(f"{path} is {header.height}x{header.width}; a picture may have {MAX_PIXELS} pixels")
    return content, header


def _decode(path: Path, content: bytes, flags: int) -> U8:
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise DataError(f"{path} can't be decoded: it is cut or damaged")
    return np.asarray(pixels, np.uint8)
