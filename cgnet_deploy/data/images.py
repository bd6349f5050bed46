"""Pictures from files, one each, bounded and checked: PNG, JPEG, WebP, BMP, TIFF, PNM, GIF, JPEG 2000 and AVIF.

Pillow reads the header, OpenCV decodes, and Pillow the last three: a file of a few kilobytes can make a decoder
allocate gigabytes, so the size is bounded first. A mask (masks.py) is checked against its picture without decoding the
picture again.

Every picture is turned upright by its EXIF orientation, as viewers, annotation tools and `cv2.imread` turn it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import stat
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError, Exif
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cgnet_deploy.data.mistaken import holds_several, is_avif, named_among, odd_pixels, what_it_is
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import MAX_PIXELS, Res

log = logging.getLogger(__name__)

Scalar = TypeVar("Scalar", bound=np.generic)

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".jp2", ".j2k", ".avif"),
)
# What systems put beside the user's files, besides hidden ones (._a.png, .DS_Store): macOS, Synology and QNAP, Windows
# (in any case), file systems.
SYSTEM = {
    *("__macosx", "icon\r", "network trash folder", "temporary items"),
    *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    "lost+found",
}
SHOWN = 3
MAX_FILE_BYTES = 256 << 20
CUT = "can't be decoded: it is cut or damaged"
# What Pillow raises for such a file.
DAMAGED = (OSError, SyntaxError, ValueError, KeyError, TypeError, RuntimeError, struct.error)
UPRIGHT = 1  # EXIF's orientation of a picture that needs no turn
# EXIF's orientation -> (whether rows and columns change places first, which axes are then mirrored)
TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}

# Not Image.open: it warns about sizes on a path of its own, and knows fifty more formats.
READERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8": JpegImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"II*\x00": TiffImageFile,
    b"MM\x00*": TiffImageFile,
    b"II+\x00": TiffImageFile,
    b"MM\x00+": TiffImageFile,
    **{b"P%d" % kind: PpmImageFile for kind in range(1, 7)},
    b"GIF8": GifImageFile,
    b"\0\0\0\x0cjP  ": Jpeg2KImageFile,
    b"\xff\x4f\xff\x51": Jpeg2KImageFile,
}
BY_PILLOW = ("GIF", "JPEG2000", "AVIF")  # decoded too: not every build of OpenCV can
MAY_LACK = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}  # features of Pillow


def is_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or the system's and not the user's."""
    return name.startswith(".") or name.lower() in SYSTEM


def pictures_of(paths: Iterable[Path]) -> list[Path]:
    """The pictures among `paths`, recognised by suffix, sorted. Folders and system files (`._a.png`) are none."""
    return sorted(p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not is_system(p.name) and not is_dir(p))


def images_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name; other files are named in the log. DataError if there is no picture."""
    held = entries(folder)
    images = pictures_of(held)
    others = [p for p in held if p.suffix.lower() not in IMAGE_SUFFIXES and not is_system(p.name) and is_file(p)]
    if not images:
        raise DataError(f"{folder} holds no picture ({', '.join(IMAGE_SUFFIXES)}){named_among(others)}")
    if others:
        names = ", ".join(p.name for p in others[:SHOWN])
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        log.warning(f"{folder}: skipping {names}{more}: not called as a picture that can be read{named_among(others)}")
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
    """(H, W, 3) u8 BGR, upright. DataError if it can't be read or decoded, or is too large."""
    content, header = read_header(path)
    return upright(_decode(path, content, header), content, header)


def image_size(path: Path) -> Res:
    """Of the upright picture, in pixels, from the header alone."""
    content, header = read_header(path)
    size = Res(header.height, header.width)
    return Res(size.width, size.height) if _turn(content, header)[0] else size


def orientation(path: Path) -> int:
    """EXIF's orientation: 1 upright, 2 to 8 stored turned or mirrored."""
    return _orientation(*read_header(path))


def upright(pixels: npt.NDArray[Scalar], content: bytes, header: ImageFile) -> npt.NDArray[Scalar]:
    """(H, W) or (H, W, C) as stored, turned as the file's EXIF orientation says."""
    transposed, mirrored = _turn(content, header)
    turned = np.flip(pixels.swapaxes(0, 1) if transposed else pixels, mirrored)
    return np.ascontiguousarray(turned)


def _turn(content: bytes, header: ImageFile) -> tuple[bool, tuple[int, ...]]:
    """As in `TURNS`. Both decoders turn a TIFF themselves, and Pillow gives its size turned."""
    found = UPRIGHT if header.format == "TIFF" else _orientation(content, header)
    return TURNS.get(found, (False, ()))


def _orientation(content: bytes, header: ImageFile) -> int:
    """What is no orientation, or no EXIF, turns nothing."""
    stored = _png_exif(content) if header.format == "PNG" else header.info.get("exif")
    try:
        with warnings.catch_warnings(action="ignore"):
            if header.format == "TIFF":
                found = header.getexif().get(ExifTags.Base.Orientation)
            else:
                exif = Exif()
                exif.load(stored or b"")
                found = exif.get(ExifTags.Base.Orientation)
    except DAMAGED:
        return UPRIGHT
    return found if isinstance(found, int) and found in TURNS else UPRIGHT


def _png_exif(content: bytes) -> bytes | None:
    """The chunk may stand behind the pixels, where Pillow finds it only by decoding them."""
    return next((content[start:end] for kind, start, end in _chunks(content) if kind == b"eXIf"), None)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Of a PNG: the kind, and where the data starts and ends; 4 bytes of kind before it and of checksum behind."""
    at = len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _damaged_png(content: bytes) -> bool:
    """Whether it lacks its end, or a chunk that all need is altered: libpng would say so on stderr, in its words."""
    view = memoryview(content)
    for kind, start, end in _chunks(content):
        if kind[:1].isupper() and zlib.crc32(view[start - 4 : end]).to_bytes(4, "big") != view[end : end + 4]:
            return True
        if kind == b"IEND":
            return False
    return True


def read_header(path: Path) -> tuple[bytes, ImageFile]:
    """The file, and what its header says; nothing is decoded yet."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is no regular file; wanted a picture")  # a FIFO would be waited for without end
        if (size := status.st_size) > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size} bytes; a picture may have {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    avif = AvifImageFile if is_avif(content) else None
    reader = next((reader for magic, reader in READERS.items() if content.startswith(magic)), avif)
    if reader is None:
        kinds = "not a PNG, JPEG, WebP, BMP, TIFF, PNM, GIF, JPEG 2000 or AVIF picture"
        raise DataError(f"{path} is {what_it_is(content) or kinds}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of Pillow, about damaged EXIF
            header = reader(io.BytesIO(content), "")
            several = holds_several(header, content)
    except DecompressionBombError:
        raise DataError(f"{path} has more than {MAX_PIXELS} pixels") from None
    except DAMAGED as error:
        feature = MAY_LACK.get(reader.format or "")
        if feature and not features.check(feature):
            raise DataError(f"{path} is {reader.format}, which this build of Pillow doesn't read") from error
        raise DataError(f"{path} {odd_pixels(content) or CUT}") from error
    if header.height * header.width > MAX_PIXELS:
        raise DataError(f"{path} is {header.height}x{header.width}; a picture may have {MAX_PIXELS} pixels")
    if several:
        raise DataError(f"{path} holds several pictures (pages, or an animation); wanted one: save each as a file")
    return content, header


def _decode(path: Path, content: bytes, header: ImageFile) -> U8:
    """(H, W, 3) u8 BGR as stored."""
    if odd := odd_pixels(content):
        raise DataError(f"{path} {odd}")
    if header.format == "PNG" and _damaged_png(content):
        raise DataError(f"{path} {CUT}")
    pixels: npt.NDArray[np.generic] | None = None
    with contextlib.suppress(cv2.error, *DAMAGED), warnings.catch_warnings(action="ignore"):
        if header.format in BY_PILLOW:
            pixels = np.asarray(header.convert("RGB"))[..., ::-1]
        else:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise DataError(f"{path} {CUT}")
    return np.asarray(pixels, np.uint8)
