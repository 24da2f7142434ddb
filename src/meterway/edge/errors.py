"""Errors as clients of each dialect expect them: status, headers and body.

OpenAI: https://platform.openai.com/docs/guides/error-codes ·
Anthropic: https://docs.anthropic.com/en/api/errors ·
Google: https://ai.google.dev/gemini-api/docs/troubleshooting · the platform's own envelope has
`statusCode`, `message`, `errorType` and `data`. What is not a `MeterwayError` is a fault of ours:
it becomes a 500 that says nothing about the inside.
"""

import math
from typing import Any, assert_never

import msgspec

from meterway.edge.http import JSON_TYPE, Headers
from meterway.edge.ratelimits import headers_of
from meterway.edge.upgrade import UpgradeRequiredError
from meterway.kit import json
from meterway.kit.errors import MeterwayError, NotFoundError
from meterway.limits.errors import RateLimitedError
from meterway.protocols.dialects import Family
from meterway.upstreams.errors import TransportError, UpstreamError

_PAYMENT_REQUIRED, _CONFLICT, _OVERLOADED, _INTERNAL = 402, 409, 529, 500
_SHOULD_RETRY = b"x-should-retry"
_LONGEST_WAIT = 60.0  # seconds; Anthropic's SDK would sleep for hours, and its user see nothing

_OPENAI_TYPES = {
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_STATUSES = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}


class UnknownPathError(NotFoundError):
    """Nothing is served at this path."""

    code = "unknown_url"


class MethodNotAllowedError(MeterwayError):
    """Something is served at this path, but not by this method."""

    status, code = 405, "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Rendered(msgspec.Struct, frozen=True):
    """A whole error reply; `headers` lacks those every reply carries."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def render(error: BaseException, family: Family | None, request_id: str) -> Rendered:
    """Render `error` for clients of `family`, None being the platform's own API."""
    known = error if isinstance(error, MeterwayError) else _internal(request_id)
    status = _status(known, family)
    body = json.encode(_body(known, family, status, request_id))
    headers = [JSON_TYPE, *_headers(known, status)]
    if isinstance(known, RateLimitedError):
        headers += headers_of(known.standings, family)
    return Rendered(status, headers, body)


def _internal(request_id: str) -> MeterwayError:
    message = f"The gateway failed on this request. Its log has more under {request_id}."
    return MeterwayError(message)


def _status(error: MeterwayError, family: Family | None) -> int:
    """Translate the two statuses OpenAI's clients read differently."""
    if family is Family.OPENAI:
        return {_PAYMENT_REQUIRED: 429, _OVERLOADED: 503}.get(error.status, error.status)
    return error.status


def _body(
    error: MeterwayError, family: Family | None, status: int, request_id: str
) -> dict[str, Any]:
    if family is None:
        return _platform(error)
    match family:
        case Family.OPENAI:
            return _openai(error, status)
        case Family.ANTHROPIC:
            return _anthropic(error, status, request_id)
        case Family.GOOGLE:
            return _google(error, status)
        case _:
            assert_never(family)


def shown(error: MeterwayError) -> str:
    """Return the sentence for the caller, who learns no upstream's address."""
    return error.shown if isinstance(error, TransportError) else error.message


def _openai(error: MeterwayError, status: int) -> dict[str, Any]:
    if error.status == _PAYMENT_REQUIRED:
        kind, code = "insufficient_quota", "credit_balance_exhausted"
    else:
        fallback = "server_error" if status >= _INTERNAL else "invalid_request_error"
        kind = _OPENAI_TYPES.get(status, fallback)
        code = error.code
    message = shown(error)
    return {"error": {"message": message, "type": kind, "param": error.param, "code": code}}


def _anthropic(error: MeterwayError, status: int, request_id: str) -> dict[str, Any]:
    fallback = "api_error" if status >= _INTERNAL else "invalid_request_error"
    kind = _ANTHROPIC_TYPES.get(status, fallback)
    message = shown(error)
    if error.code == "model_not_found" and isinstance(model := getattr(error, "model", None), str):
        message = f"model: {model}"
    told: dict[str, Any] = {"type": kind, "message": message}
    if error.details is not None:
        told["details"] = error.details
    return {
        "type": "error",
        "error": told,
        "request_id": request_id,
    }


def _google(error: MeterwayError, status: int) -> dict[str, Any]:
    fallback = "INTERNAL" if status >= _INTERNAL else "INVALID_ARGUMENT"
    kind = _GOOGLE_STATUSES.get(status, fallback)
    return {"error": {"code": status, "message": shown(error), "status": kind}}


def _platform(error: MeterwayError) -> dict[str, Any]:
    kind = error.code if error.code.endswith("_error") else f"{error.code}_error"
    return {
        "statusCode": error.status,
        "message": shown(error),
        "errorType": kind,
        "data": None,
    }


def _headers(error: MeterwayError, status: int) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    if error.status == _PAYMENT_REQUIRED:
        headers.append((_SHOULD_RETRY, b"false"))
    elif error.retryable and not isinstance(error, UpstreamError):
        patient = (error.retry_after or 0) <= _LONGEST_WAIT
        headers.append((_SHOULD_RETRY, b"true" if patient else b"false"))
    elif error.status == _CONFLICT and not isinstance(error, UpstreamError):
        headers.append((_SHOULD_RETRY, b"false"))  # the SDKs repeat every other 409
    wait = error.retry_after
    if wait is None and error.retryable and status == 503:  # noqa: PLR2004 - service unavailable
        wait = 1.0
    if wait is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
        headers.append((b"retry-after-ms", b"%d" % math.ceil(wait * 1000)))
    if isinstance(error, MethodNotAllowedError):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, UpgradeRequiredError):
        headers += [(b"upgrade", error.protocol.encode()), (b"connection", b"upgrade")]
    return headers
