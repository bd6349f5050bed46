"""Files to arrays, bounded and checked: pictures (PNG, JPEG, WebP) and label maps (8-bit grey PNG).

Pillow reads the header, OpenCV decodes: a file of a few kilobytes can make a decoder allocate gigabytes, so the size
is bounded first. A label map is checked against its image without decoding the image again.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL.Image import DecompressionBombError, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import MAX_PIXELS

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_FILE_BYTES = 256 << 20

# Not Image.open: it warns about sizes on a path of its own, and knows fifty more formats.
READERS: dict[bytes, type[PngImageFile | JpegImageFile | WebPImageFile]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8": JpegImageFile,
    b"RIFF": WebPImageFile,
}
GREY8 = b"\x08\x00"  # bit depth and colour type, bytes 24 and 25 of a PNG


def images_in(folder: Path) -> list[Path]:
    """The pictures of a folder, recognised by suffix, sorted by name. DataError if there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; wanted a folder of PNG, JPEG or WebP pictures")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"{folder} holds no picture ({', '.join(IMAGE_SUFFIXES)})")
    return images


def read_image(path: Path) -> U8:
    """(H, W, 3) u8 BGR, as stored, unrotated. DataError if it can't be read or decoded, or is too large."""
    content, _ = _read(path)
    # Orientation tags are ignored: the label map of a tagged photograph is stored unrotated, as its pixels are.
    return _decode(path, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def read_labels(path: Path) -> U8:
    """(H, W) u8 label map as stored. DataError if it isn't an 8-bit grey PNG."""
    content, header = _read(path)
    if header.format != "PNG" or content[24:26] != GREY8:
        raise DataError(f"{path} is not a label map: wanted a PNG of one 8-bit grey channel, without a palette")
    return _decode(path, content, cv2.IMREAD_UNCHANGED)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) in pixels, from the header alone."""
    _, header = _read(path)
    return header.height, header.width


def _read(path: Path) -> tuple[bytes, Image]:
    """The file, and what its header says; nothing is decoded yet."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size} bytes; a picture may have {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    reader = next((reader for magic, reader in READERS.items() if content.startswith(magic)), None)
    if reader is None:
        raise DataError(f"{path} is not a PNG, JPEG or WebP picture")
    try:
        header = reader(io.BytesIO(content), "")
    except DecompressionBombError:
        raise DataError(f"{path} has more than {MAX_PIXELS} pixels") from None
    except (OSError, SyntaxError, ValueError) as error:
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
