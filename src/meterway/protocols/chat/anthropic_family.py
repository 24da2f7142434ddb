"""What every dialect of Anthropic's clients says alike: faults of a request, and failures.

Errors about a body are worded and pathed as Anthropic does, `messages.0.role: ...`; their kinds
are those of https://platform.claude.com/docs/en/api/errors.
"""

import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from meterway.kit import json, sse
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.chat.wording import Wording, unread

T = TypeVar("T")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
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
_INDEX = re.compile(r"\[(\d+)\]")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `")
_NAMES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "array": "list",
    "object": "dictionary",
}


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode_at(raw: msgspec.Raw, kind: type[T], path: str) -> T:
    """Decode one raw value as `kind`; `path` is its place in the body, in dotted style.

    Raises `InvalidRequestError` whose `param` is the path of the value that does not fit.
    """
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(raw)
    except msgspec.ValidationError as error:
        raise _misfit(error, path) from None
    except _UNREADABLE as error:
        raise InvalidRequestError(f"{path}: not valid JSON: {error}", param=path) from None
    return value


def wording_at(raw: msgspec.Raw, path: str) -> Wording:
    """Take a string without reading it. Raises `InvalidRequestError` where it is none."""
    wording = unread(raw)
    return decode_at(raw, str, path) if wording is None else wording


def _misfit(error: msgspec.ValidationError, path: str) -> InvalidRequestError:
    text, _, inner = str(error).partition(" - at `$")
    where = (path + _INDEX.sub(r".\1", inner.rstrip("`"))).removeprefix(".")
    if missing := _MISSING.match(text):
        return required(f"{where}.{missing[1]}".removeprefix("."))
    if expected := _EXPECTED.match(text):
        kinds = [_NAMES.get(name, name) for name in expected[1].split(" | ") if name != "null"]
        text = f"Input should be a valid {' or '.join(kinds)}"
    return InvalidRequestError(f"{where}: {text}", param=where)


def required(path: str) -> InvalidRequestError:
    """Return the error for a field that must be there and is not."""
    return InvalidRequestError(f"{path}: Field required", param=path)


def refused(path: str, problem: str) -> InvalidRequestError:
    """Return the error for the value at `path`."""
    return InvalidRequestError(f"{path}: {problem}", param=path)


def kind_of(status: int) -> str:
    """Return Anthropic's error type for an HTTP status."""
    return KINDS.get(status, "api_error" if status >= _SERVER_ERROR else "invalid_request_error")


def encode_failure(failure: Failed) -> bytes:
    """Write the stream event that tells a client of an error; foreign kinds go by status."""
    kind = failure.kind if failure.kind in STATUSES else kind_of(failure.status)
    error = {"type": "error", "error": {"type": kind, "message": failure.message}}
    return sse.render(json.encode(error), b"error")
