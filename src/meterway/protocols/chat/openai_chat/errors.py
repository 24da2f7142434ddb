"""Errors of upstreams that speak OpenAI's dialect, in all the shapes they come in.

OpenAI: `{"error": {"message", "type", "param", "code"}}`, which Azure extends by `innererror`;
Google puts it in a list and names `status`; FastAPI servers answer `{"detail": ...}`, Mistral and
vLLM `{"message", "type", "code"}`, Azure's gateway `{"statusCode", "message"}`; proxies answer
HTML, plain text or nothing. Source: https://platform.openai.com/docs/guides/error-codes.
"""

import html
import re
from http import HTTPStatus
from typing import Any

import msgspec

from meterway.kit import json
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.vendor_text import clean

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_LARGEST = 1024 * 1024
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "requests": 429,
    "tokens": 429,
    "overloaded_error": 529,
    "timeout_error": 504,
    "timeout": 504,
    "service_unavailable_error": 503,
    "service_unavailable": 503,
}
_FIRST_ERROR, _LAST_ERROR = 400, 599


def decode_error(status: int, body: bytes) -> Failed:
    """Read an error answer of `status`; its message is short and free of credentials."""
    told = _json(body)
    found = _error(told) if told is not None else None
    if found is None:
        text = _plain(body) if told is None else body.decode(errors="replace")
        return Failed(message=clean(text) or _silent(status), kind=_kind(status), status=status)
    message = clean(_message(found)) or _silent(status)
    return Failed(
        message=message,
        kind=_word(found, "type", "code", "status") or _kind(status),
        status=status,
        code=_word(found, "code"),
        param=_word(found, "param"),
    )


def inner_error(raw: msgspec.Raw) -> Failed:
    """Read the `error` value of a reply or chunk that came with status 200."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = bytes(raw).decode(errors="replace")
    error = value if isinstance(value, dict) else {"message": str(value)}
    kind = _word(error, "type", "code", "status") or "server_error"
    return Failed(
        message=clean(_message(error)) or "The upstream reported an error and did not say which.",
        kind=kind,
        status=_status(error, kind),
        code=_word(error, "code"),
        param=_word(error, "param"),
    )


def _status(error: dict[str, Any], kind: str) -> int:
    for key in ("code", "status", "status_code", "http_code"):
        value = error.get(key)
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, int) and _FIRST_ERROR <= number <= _LAST_ERROR:
            return number
    code = error.get("code")
    return _STATUSES.get(kind) or _STATUSES.get(code if isinstance(code, str) else "", 502)


def _json(body: bytes) -> Any:
    if len(body) > _LARGEST:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _error(told: Any) -> dict[str, Any] | None:
    if isinstance(told, list) and told:
        told = told[0]
    if isinstance(told, str):
        return {"message": told}
    if not isinstance(told, dict):
        return None
    for key in ("error", "detail", "errors", "message", "msg"):
        value = told.get(key)
        if isinstance(value, dict):
            return value
        if isinstance(value, list) and value:
            return {"message": "; ".join(_item(item) for item in value)}
        if isinstance(value, str) and value:
            return {**told, "message": value}
    return None


def _item(item: Any) -> str:
    """Tell one of FastAPI's validation errors: where and what."""
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc")
    where = ".".join(str(step) for step in place) + ": " if isinstance(place, list) else ""
    return where + str(item.get("msg") or item.get("message") or "")


def _message(error: dict[str, Any]) -> str:
    for key in ("message", "msg", "detail", "error", "reason"):
        value = error.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, dict | list) and value:
            return json.encode(value).decode()
    return ""


def _word(error: dict[str, Any], *keys: str) -> str | None:
    for key in keys:
        value = error.get(key)
        if isinstance(value, str) and value and not value.isdecimal():
            return clean(value)[:100]
    return None


def _plain(body: bytes) -> str:
    text = body[:_LARGEST].decode(errors="replace")
    if not _MARKUP.match(text):
        return text
    title = _TITLE.search(text)
    heading = html.unescape(title[1]).strip() if title else "untitled"
    return f"The upstream answered with a web page: {heading}"


def _kind(status: int) -> str:
    return _KINDS.get(status, "server_error")


def _silent(status: int) -> str:
    known = status in HTTPStatus._value2member_map_
    phrase = f" ({HTTPStatus(status).phrase})" if known else ""
    return f"The upstream answered with status {status}{phrase} and no message."
