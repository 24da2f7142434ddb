"""What fetched bytes are: told by how they begin, whatever their server calls them."""

from collections.abc import Collection
from typing import Final

from meterway.kit.fetching.errors import FetchError

_PDF = "application/pdf"
_BEFORE_PDF = b"\xef\xbb\xbf \t\r\n"  # what some writers put before its sign
_SIGNS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def type_of(body: bytes, declared: str, accepted: Collection[str]) -> str:
    """Return the media type of `body`, one of `accepted`.

    Pictures and PDFs are known by their first bytes; text counts as what its server `declared`,
    and must be UTF-8. Raises `FetchError` naming what is accepted.
    """
    signed = _signed(body)
    if signed is not None and signed in accepted:
        return signed
    name = declared.partition(";")[0].strip().lower()
    if signed is None and name.startswith("text/") and name in accepted and _is_text(body):
        return name
    names = ", ".join(accepted)
    raise FetchError(f"What this URL leads to is none of: {names} (text in UTF-8 alone).")


def _signed(body: bytes) -> str | None:
    for sign, name in _SIGNS:
        if body.startswith(sign):
            return name
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return "image/webp"
    return _PDF if body[:64].lstrip(_BEFORE_PDF).startswith(b"%PDF-") else None


def _is_text(body: bytes) -> bool:
    try:
        return "\x00" not in body.decode()
    except UnicodeDecodeError:
        return False
