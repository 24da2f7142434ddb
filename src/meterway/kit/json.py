"""JSON at the border: top-level objects whose values stay raw bytes until somebody needs them."""

from typing import Any, TypeAlias, TypeVar

import msgspec

from meterway.kit.errors import InvalidRequestError

RawObject: TypeAlias = dict[str, msgspec.Raw]
T = TypeVar("T")

_decode_top = msgspec.json.Decoder(RawObject).decode
_encode = msgspec.json.Encoder().encode
_NULL = b"null"
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode_top(body: bytes) -> RawObject:
    """Decode an object's keys, leaving each value as the bytes it came in.

    A key that occurs twice keeps its last value, so that what is priced is what is sent on.
    Raises `InvalidRequestError` where `body` is not one JSON object in UTF-8.
    """
    try:
        if not body.isascii():
            body.decode()  # values that stay raw are not looked at by the decoder
        return _decode_top(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(body, error) from None


def _not_json(body: bytes, error: Exception) -> InvalidRequestError:
    if not body:
        return InvalidRequestError("The request body is empty; send a JSON object.")
    return InvalidRequestError(f"The request body is not a valid JSON object: {error}.")


def decode_as(raw: bytes | msgspec.Raw, kind: type[T], path: str) -> T:
    """Decode one raw value as `kind`; `path` is its JSON path, named in the error.

    Raises `InvalidRequestError` with `param` set to the path of the value that does not fit.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        value: T = decoder.decode(raw)
    except msgspec.ValidationError as error:
        text, _, inner = str(error).partition(" - at `$")
        where = path + inner.rstrip("`")
        message = f"Invalid value for '{where}': {text}."
        raise InvalidRequestError(message, param=where) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"'{path}' is not valid JSON: {error}.", param=path) from None
    return value


def is_null(raw: bytes | msgspec.Raw) -> bool:
    """Say whether a raw value is JSON's null."""
    return bytes(raw) == _NULL


def encode(value: Any) -> bytes:
    """Encode `value` compactly; `msgspec.Raw` values are copied as they are."""
    return _encode(value)


def raw(value: Any) -> msgspec.Raw:
    """Encode `value` and mark the bytes as JSON that travels on untouched."""
    return msgspec.Raw(_encode(value))
