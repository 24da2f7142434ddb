"""Errors about a request's body, worded and pathed as Anthropic does: `messages.0.role: ...`."""

import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.wording import Wording, unread
from meterway.protocols.errors import UnsupportedContentError

T = TypeVar("T")
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
    except wire.UNREADABLE as error:
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


def unsupported(path: str, what: str) -> UnsupportedContentError:
    """Return the error for `what`, which Anthropic's API has no way to say."""
    message = f"{path}: {what} cannot be sent to an upstream that speaks Anthropic's Messages API."
    return UnsupportedContentError(message, param=path)
