"""Google's error objects: reading an upstream's, writing a client's.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting and
https://cloud.google.com/apis/design/errors
"""

from collections.abc import Mapping

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.vendor_errors import vendor_message
from meterway.protocols.vendor_text import clean

KINDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
STATUSES = {kind: status for status, kind in KINDS.items()} | {"FAILED_PRECONDITION": 400}
_SERVER_ERROR, _BAD_GATEWAY = 500, 502


class _Body(msgspec.Struct):
    error: wire.Error


def kind_of(status: int) -> str:
    """Return Google's word for an HTTP status."""
    return KINDS.get(status, "INTERNAL" if status >= _SERVER_ERROR else "INVALID_ARGUMENT")


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
    """Read an upstream's error answer; one to a stream's request may stand in a list."""
    kind = kind_of(status)
    try:
        found = msgspec.json.decode(body, type=list[_Body] | _Body)
        first = found if isinstance(found, _Body) else next(iter(found), None)
        if first is not None and first.error.status in STATUSES:
            kind = first.error.status
    except wire.UNREADABLE:
        pass  # not Google's own words; the status says what kind of error it is
    return neutral.Failed(message=vendor_message(status, headers, body), kind=kind, status=status)


def failed(error: wire.Error) -> neutral.Failed:
    """Read an error that came inside a 200."""
    kind = error.status or kind_of(error.code or _BAD_GATEWAY)
    message = clean(error.message) or "The upstream reported an error without saying which."
    status = error.code or STATUSES.get(kind, _BAD_GATEWAY)
    return neutral.Failed(message=message, kind=kind, status=status)


def encode_error(failure: neutral.Failed) -> dict[str, object]:
    """Return the object that tells a client of an error; foreign kinds go by status."""
    kind = failure.kind if failure.kind in STATUSES else kind_of(failure.status)
    return {"error": {"code": failure.status, "message": failure.message, "status": kind}}
