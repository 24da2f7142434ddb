"""A client's text completion request, read into the neutral form.

Follows https://docs.anthropic.com/en/api/complete. Fields without a word in the neutral form stand
in `Request.extra`.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject, raw
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_complete.prompts import turns_of
from meterway.protocols.chat.anthropic_family import decode_at, refused, required
from meterway.protocols.chat.codec import Facts

T = TypeVar("T")
VERSION: Final = "2023-06-01"
_NULL: Final = msgspec.Raw(b"null")
_LIMIT: Final = "max_tokens_to_sample"
_KNOWN = frozenset({
    "model", "prompt", _LIMIT, "stop_sequences", "temperature", "top_p", "top_k", "metadata",
    "stream",
})  # fmt: skip


def check_version(version: str | None) -> None:
    """Refuse every API version but the one with text completions; None means that one.

    Raises `InvalidRequestError`.
    """
    if version not in (None, VERSION):
        message = (
            f'anthropic-version: "{version}" has no text completions; send "{VERSION}", '
            "or use /v1/messages"
        )
        raise InvalidRequestError(message, param="anthropic-version")


def limit_tokens(body: RawObject, most_output: Callable[[str], int | None]) -> None:
    """Lower `max_tokens_to_sample` to what the model can write, as the API takes any number.

    `most_output` tells that of a model, None where nobody knows. Raises `InvalidRequestError`.
    """
    limit, model = _optional(body, _LIMIT, int), _optional(body, "model", str)
    most = None if limit is None or model is None else most_output(model)
    if limit is not None and most is not None and limit > most:
        body[_LIMIT] = raw(most)


def read_facts(body: RawObject) -> Facts:
    """Read what routing and metering need. Raises `InvalidRequestError`."""
    return Facts(
        model=_needed(body, "model", str),
        stream=_optional(body, "stream", bool) is True,
        include_usage=False,
        max_tokens=_optional(body, _LIMIT, int),
    )


def decode_request(body: RawObject) -> neutral.Request:
    """Read a whole request. Raises `InvalidRequestError` naming the field at fault."""
    facts = read_facts(body)
    system, messages = turns_of(_needed(body, "prompt", str))
    extra = {name: one for name, one in body.items() if name not in _KNOWN and one != _NULL}
    return neutral.Request(
        model=facts.model,
        messages=messages,
        system=system,
        sampling=_sampling(body),
        user=_user(body, extra),
        stream=facts.stream,
        extra=extra,
    )


def _optional(body: RawObject, name: str, kind: type[T]) -> T | None:
    value = body.get(name, _NULL)
    return None if value == _NULL else decode_at(value, kind, name)


def _needed(body: RawObject, name: str, kind: type[T]) -> T:
    if name not in body:
        raise required(name)
    return decode_at(body[name], kind, name)


def _sampling(body: RawObject) -> neutral.Sampling:
    limit = _needed(body, _LIMIT, int)
    if limit < 1:
        raise refused(_LIMIT, "Input should be greater than or equal to 1")
    return neutral.Sampling(
        max_tokens=limit,
        temperature=_optional(body, "temperature", float),
        top_p=_optional(body, "top_p", float),
        top_k=_optional(body, "top_k", int),
        stop=_optional(body, "stop_sequences", tuple[str, ...]) or (),
    )


def _user(body: RawObject, extra: RawObject) -> str | None:
    metadata = _optional(body, "metadata", RawObject) or {}
    for name, value in metadata.items():
        if name != "user_id" and value != _NULL:
            extra[f"metadata.{name}"] = value
    user = metadata.get("user_id", _NULL)
    return None if user == _NULL else decode_at(user, str, "metadata.user_id")
