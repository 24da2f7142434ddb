"""The message of a vendor's error answer, whatever its body looks like, safe to show and to log."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

MAX_MESSAGE = 2000
_READ_LIMIT = 64 * 1024
_SECRET = re.compile(
    r"(?i)\b(?:sk|pk|rk|key|gsk|xai|pplx|csk|fw|nvapi|tok|hf|r8|mw)[-_][\w*.-]{6,}"
    r"|\bAIza[\w-]{10,}"
    r"|(?<=bearer )[\w.~+/=-]{8,}"
    r"|\beyJ[\w-]{10,}\.[\w-]+\.[\w-]*"
)
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
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = "" if _is_html(headers) else _plain(body)
    return clean(said) or f"The upstream answered {status} {_phrase(status)}.".replace(" .", ".")


def clean(message: str) -> str:
    """Mask what looks like a credential, then cut to 2,000 characters."""
    text = message[: 4 * MAX_MESSAGE]
    return _SECRET.sub(lambda secret: secret[0][:3] + "***", text)[:MAX_MESSAGE].strip()


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
