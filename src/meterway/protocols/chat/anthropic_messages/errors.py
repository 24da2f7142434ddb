"""Anthropic's error objects: reading an upstream's, writing a client's.

Source: https://platform.claude.com/docs/en/api/errors
"""

from collections.abc import Mapping

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.vendor_errors import vendor_message
from meterway.protocols.vendor_text import clean

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STATUSES = {kind: status for status, kind in KINDS.items()}
_SERVER_ERROR = 500


class _Body(msgspec.Struct):
    error: wire.Error


def kind_of(status: int) -> str:
    """Return Anthropic's error type for an HTTP status."""
    return KINDS.get(status, "api_error" if status >= _SERVER_ERROR else "invalid_request_error")


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
    """Read an upstream's error answer, whatever its body looks like."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except wire.UNREADABLE:
        return neutral.Failed(
            message=vendor_message(status, headers, body), kind=kind_of(status), status=status
        )
    kind = error.type if error.type in STATUSES else kind_of(status)
    return neutral.Failed(message=vendor_message(status, headers, body), kind=kind, status=status)


def failed(error: wire.Error | None) -> neutral.Failed:
    """Read an error that came inside a 200: a stream's error event, or an object."""
    error = error or wire.Error(message="The upstream reported an error without saying which.")
    status = STATUSES.get(error.type, 502)
    return neutral.Failed(message=clean(error.message), kind=error.type, status=status)


def encode_failure(failure: neutral.Failed) -> bytes:
    """Write the stream event that tells a client of an error; foreign kinds go by status."""
    kind = failure.kind if failure.kind in STATUSES else kind_of(failure.status)
    error = {"type": "error", "error": {"type": kind, "message": failure.message}}
    return sse.render(json.encode(error), b"error")
