"""The message of a vendor's error answer, whatever its body looks like, safe to show and to log."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from meterway.protocols.vendor_text import clean

_READ_LIMIT = 64 * 1024
_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")


def vendor_message(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return what the vendor said went wrong, cut to 2,000 characters and free of credentials.

    Understands `{"error": {"message"}}`, `{"error": "..."}`, `{"message"}`, `{"detail"}` (a text
    or FastAPI's list), a list around one of them, and plain text; a page of HTML or an empty body
    becomes the status in words.
    """
    try:
        said = _said(msgspec.json.decode(body[:_READ_LIMIT] if _is_html(headers) else body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = "" if _is_html(headers) else _plain(body)
    return clean(said) or f"The upstream answered {status} {_phrase(status)}.".replace(" .", ".")


def _is_html(headers: Mapping[str, str]) -> bool:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return "html" in kind


def _plain(body: bytes) -> str:
    text = body[:_READ_LIMIT].decode(errors="replace")
    if text.lstrip()[:1] == "<":
        text = _TAG.sub(" ", text)
    return _SPACE.sub(" ", text).strip()


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(one) for one in value[:10])))
    if isinstance(value, dict):
        for name in ("error", "message", "msg", "detail", "errors", "error_msg", "title"):
            if said := _said(value.get(name)):
                return said
    return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
