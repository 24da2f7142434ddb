"""What every dialect of OpenAI's clients says alike: faults of a request, failures, usage.

Errors about a body are worded and pathed as OpenAI does, `messages[0].role`; see
https://platform.openai.com/docs/guides/error-codes.
"""

import re
from typing import Any, TypeVar

import msgspec

from meterway.kit import json, sse
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.chat.wording import Wording, unread
from meterway.protocols.usage import Usage

T = TypeVar("T")
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`$")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

_NULL = msgspec.Raw(b"null")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode_at(raw: msgspec.Raw, kind: type[T], path: str) -> T:
    """Decode one raw value as `kind`; `path` is its place in the body.

    Raises `InvalidRequestError` whose `param` is the path of the value that does not fit.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        value: T = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _misfit(error, path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"'{path}' is not valid JSON: {error}.", param=path) from None
    return value


def wording_at(raw: msgspec.Raw, path: str) -> Wording:
    """Take a string without reading it. Raises `InvalidRequestError` where it is none."""
    wording = unread(raw)
    return decode_at(raw, str, path) if wording is None else wording


def optional(body: RawObject, key: str, kind: type[T]) -> T | None:
    """Decode the top-level field `key`, None where it is absent or null."""
    raw = body.get(key)
    if raw is None or raw == _NULL:
        return None
    return decode_at(raw, kind, key)


def _misfit(error: msgspec.ValidationError, path: str) -> InvalidRequestError:
    text, _, inner = str(error).partition(" - at `$")
    where = path + inner.rstrip("`")
    if missing := _MISSING.match(text):
        return required(f"{where}.{missing[1]}")
    if expected := _EXPECTED.match(text):
        kinds = [_WORDS.get(name, name) for name in expected[1].split(" | ") if name != "null"]
        got = _WORDS.get(expected[2], expected[2])
        message = f"Invalid type for '{where}': expected {_either(kinds)}, but got {got} instead."
        return InvalidRequestError(message, param=where)
    return InvalidRequestError(f"Invalid value for '{where}': {text}.", param=where)


def _either(kinds: list[str]) -> str:
    return f"one of {' or '.join(kinds)}" if len(kinds) > 1 else kinds[0]


def required(path: str) -> InvalidRequestError:
    """Return the error for a field that must be there and is not."""
    return InvalidRequestError(f"Missing required parameter: '{path}'.", param=path)


def refused(path: str, problem: str) -> InvalidRequestError:
    """Return the error for a value at `path` that is none of those allowed."""
    return InvalidRequestError(f"Invalid '{path}': {problem}", param=path)


def encode_failure(failure: Failed) -> bytes:
    """Write the event that tells a client of an error inside a stream."""
    error = {
        "message": failure.message,
        "type": failure.kind,
        "param": failure.param,
        "code": failure.code,
    }
    return sse.render(json.encode({"error": error}))


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Write a usage object with both breakdowns; prompt and completion include all their parts."""
    prompt, completion = usage.total_input, usage.total_output
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
