"""Sizes of images and documents, read from the first bytes of the file."""

import base64
import binascii
import re
from typing import Final

_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HEAD: Final = 65_536  # characters of base64 in which a header is looked for first
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGES = re.compile(rb"/Count\s+(\d{1,6})")

Size = tuple[int, int]


def size_of_base64(data: str) -> Size | None:
    """Return width and height in pixels of a base64 PNG, JPEG, GIF or WebP, None if unknown."""
    for part in (data[:_HEAD], data):
        try:
            size = size_of(base64.b64decode(part))
        except (binascii.Error, ValueError):
            return None
        if size or len(data) <= _HEAD:
            return size
    return None


def size_of(raw: bytes) -> Size | None:
    """Return width and height in pixels from an image file's header, None if it is not known."""
    size = None
    if raw.startswith(b"\x89PNG\r\n\x1a\n") and len(raw) >= 24:  # noqa: PLR2004  signature, IHDR head, two sizes
        size = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    elif raw[:6] in (b"GIF87a", b"GIF89a") and len(raw) >= 10:  # noqa: PLR2004  signature, two sizes
        size = int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")
    elif raw[:4] == b"RIFF" and raw[8:12] == b"WEBP" and len(raw) >= 30:  # noqa: PLR2004  the longest head
        size = _webp(raw)
    elif raw[:2] == b"\xff\xd8":
        size = _jpeg(raw)
    return size if size and min(size) > 0 else None


def _webp(raw: bytes) -> Size | None:
    """Sizes by chunk kind: https://developers.google.com/speed/webp/docs/riff_container."""
    kind = raw[12:16]
    if kind == b"VP8X":
        return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(raw[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return (
            int.from_bytes(raw[26:28], "little") & 0x3FFF,
            int.from_bytes(raw[28:30], "little") & 0x3FFF,
        )
    return None


def _jpeg(raw: bytes) -> Size | None:
    """Walk the segments up to the start of frame, which holds the size."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:  # noqa: PLR2004  every marker begins with it
        marker = raw[at + 1]
        if marker in _JPEG_STANDALONE or marker == 0xFF:  # noqa: PLR2004  fill byte
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004  fill byte
            continue
        if marker in _JPEG_FRAMES:
            height = int.from_bytes(raw[at + 5 : at + 7], "big")
            return int.from_bytes(raw[at + 7 : at + 9], "big"), height
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return None


def pdf_pages(data: str) -> int:
    """Return the number of pages of a base64 PDF; 1 when it can't be read from its objects."""
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    counts = [int(found) for found in _PAGES.findall(raw)]
    return max([1, len(_PAGE.findall(raw)), *counts])
