"""What fetched bytes are taken for."""

import pytest

from meterway.kit.fetching.content import type_of
from meterway.kit.fetching.errors import FetchError

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
PAPERS = ("application/pdf", "text/plain", "text/markdown")
PNG = b"\x89PNG\r\n\x1a\n0000"


@pytest.mark.parametrize(
    ("body", "declared", "found"),
    [
        (PNG, "image/png", "image/png"),
        (PNG, "application/octet-stream", "image/png"),
        (PNG, "", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/png", "image/jpeg"),
        (b"GIF89a..", "image/gif", "image/gif"),
        (b"GIF87a..", "image/gif", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", "image/webp"),
    ],
)
def test_pictures_are_known_by_their_first_bytes(body, declared, found):
    assert type_of(body, declared, PICTURES) == found


@pytest.mark.parametrize(
    ("body", "declared", "found"),
    [
        (b"%PDF-1.7\n", "application/pdf", "application/pdf"),
        (b"\xef\xbb\xbf\n%PDF-1.7\n", "text/plain", "application/pdf"),
        ("Bücher".encode(), "text/plain; charset=utf-8", "text/plain"),
        (b"A file that begins with %PDF- is one.", "Text/Markdown", "text/markdown"),
        (b"", "text/plain", "text/plain"),
    ],
)
def test_papers_are_pdf_by_their_sign_or_text_by_name(body, declared, found):
    assert type_of(body, declared, PAPERS) == found


@pytest.mark.parametrize(
    ("body", "declared", "accepted"),
    [
        (b"<html>", "image/png", PICTURES),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", PICTURES),
        (b"RIFF\x00\x00\x00\x00WAVE", "image/webp", PICTURES),
        (b"", "image/png", PICTURES),
        (b"%PDF-1.7", "image/png", PICTURES),
        (b"root:x:0:0", "text/plain", PICTURES),
        (PNG, "application/pdf", PAPERS),
        (PNG, "text/plain", PAPERS),
        (b"MZ\x90\x00", "application/pdf", PAPERS),
        (b"{}", "application/json", PAPERS),
        (b"\xff\xfe", "text/plain", PAPERS),
        (b"a\x00b", "text/plain", PAPERS),
    ],
)
def test_anything_else_is_refused_naming_what_is_accepted(body, declared, accepted):
    with pytest.raises(FetchError) as caught:
        type_of(body, declared, accepted)

    assert ", ".join(accepted) in caught.value.message
