"""Sizes read from the first bytes of files."""

import base64
import struct

import pytest

from meterway.tokens.images import pdf_pages, size_of, size_of_base64


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\0\0\0"


def jpeg(width: int, height: int, *, head: bytes = b"") -> bytes:
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC2, 17, 8, height, width, 3)
    return b"\xff\xd8\xff\xe0\x00\x04ab" + head + frame


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + rest.ljust(20, b"\0")


@pytest.mark.parametrize(
    "raw",
    [
        png(640, 480),
        jpeg(640, 480),
        jpeg(640, 480, head=b"\xff\xff\xe1\x00\x06\xff\xc0\x00\x00"),
        b"GIF89a" + struct.pack("<HH", 640, 480),
        webp(b"VP8X", b"\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (639 | 479 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 0x4000, 480)),
    ],
)
def test_each_format_tells_its_size(raw):
    assert size_of(raw) == (640, 480)


@pytest.mark.parametrize("raw", [b"", b"\xff\xd8", png(0, 5), b"GIF89a", b"RIFF....WEBPVP8X", b"?"])
def test_an_unreadable_head_has_no_size(raw):
    assert size_of(raw) is None


def test_a_size_behind_a_long_head_is_found():
    raw = jpeg(640, 480, head=(b"\xff\xe1\xff\xf0" + b"\0" * 0xFFEE) * 3)

    assert size_of_base64(base64.b64encode(raw).decode()) == (640, 480)


def test_what_is_no_base64_has_no_size():
    assert size_of_base64("a") is None


@pytest.mark.parametrize(
    ("raw", "pages"),
    [
        (b"<< /Type /Pages /Count 12 >>", 12),
        (b"<< /Type /Page >> << /Type/Page /x >> << /Type /Pages /Count 2 >>", 2),
        (b"nothing", 1),
    ],
)
def test_pages_are_counted_from_a_pdf(raw, pages):
    assert pdf_pages(base64.b64encode(raw).decode()) == pages
