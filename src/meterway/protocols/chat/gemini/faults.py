"""Errors about a request's body, worded and pathed as Google does: `contents[0].parts[1].text`."""

import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.wording import Wording, unread
from meterway.protocols.errors import UnsupportedContentError

T = TypeVar("T")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    # Lax, as protobuf's JSON is: a number may come as a string.
    return msgspec.json.Decoder(kind, strict=False)


def decode_at(raw: msgspec.Raw, kind: type[T], path: str) -> T:
    """Decode one raw value as `kind`; `path` is its place in the body.

    Raises `InvalidRequestError` whose `param` is the path of the value that does not fit.
    """
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(raw)
    except msgspec.ValidationError as error:
        text, _, inner = str(error).partition(" - at `$")
        where = path + inner.rstrip("`").replace("[...]", "")
        if missing := _MISSING.match(text):
            raise required(f"{where}.{missing[1]}") from None
        raise refused(where, text) from None
    except wire.UNREADABLE as error:
        raise refused(path, f"not valid JSON: {error}") from None
    return value


def wording_at(raw: msgspec.Raw, path: str) -> Wording:
    """Take a string without reading it. Raises `InvalidRequestError` where it is none."""
    wording = unread(raw)
    return decode_at(raw, str, path) if wording is None else wording


def required(path: str) -> InvalidRequestError:
    """Return the error for a field that must be there and is not."""
    return InvalidRequestError(f"'{path}' is not specified; send it.", param=path)


def refused(path: str, problem: str) -> InvalidRequestError:
    """Return the error for the value at `path`."""
    return InvalidRequestError(f"Invalid value at '{path}': {problem}.", param=path)


def unsupported(path: str, what: str) -> UnsupportedContentError:
    """Return the error for `what`, which the Gemini API has no way to say."""
    message = f"{path}: {what} cannot be sent to an upstream that speaks Google's Gemini API."
    return UnsupportedContentError(message, param=path)


def untold(path: str, what: str) -> UnsupportedContentError:
    """Return the error for something that only an upstream of this dialect could be sent."""
    message = f"{path}: {what} is known to its vendor alone; send what it says instead."
    return UnsupportedContentError(message, param=path)
