"""The size of a PNG, JPEG or WebP from its first bytes, so that no picture is decoded before it is bounded.

A file of a few kilobytes can ask a decoder for gigabytes; and a label map can be checked against its image
without decoding the image again.
"""

from __future__ import annotations

import struct
from typing import NamedTuple


class Header(NamedTuple):
    """format: "png", "jpeg" or "webp". grey8: one channel of 8 bits, not palette (told for PNG only)."""

    format: str
    height: int
    width: int
    grey8: bool


def parse_header(content: bytes) -> Header | None:
    """What the file says of itself, None if it is none of the three formats or cut within its header."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height, depth, colour_type = struct.unpack_from(">IIBB", content, 16)
            return Header("png", height, width, (depth, colour_type) == (8, 0))
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(content: bytes) -> Header | None:
    """Walk the marker segments to the frame header (SOF0 to SOF15 without DHT, JPG and DAC)."""
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            return Header("jpeg", height, width, False)
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None


def _webp(content: bytes) -> Header | None:
    chunk = content[12:16]
    if chunk == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", content, 26))
        return Header("webp", height, width, False)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return Header("webp", (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1, False)
    if chunk == b"VP8X":
        width, height = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
        return Header("webp", height, width, False)
    return None
