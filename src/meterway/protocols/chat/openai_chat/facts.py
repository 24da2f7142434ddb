"""Reads what routing and metering need from a request that may pass on unread.

Worded after https://platform.openai.com/docs/guides/error-codes.
"""

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_family import decode_at, optional


def read_facts(body: RawObject) -> Facts:
    """Return the facts of a request. Raises `InvalidRequestError`."""
    model = decode_at(body["model"], str, "model") if "model" in body else ""
    if not model:
        raise InvalidRequestError("you must provide a model parameter", param="model")
    stream = optional(body, "stream", bool) is True
    return Facts(
        model=model,
        stream=stream,
        include_usage=stream and asks_for_usage(body),
        service_tier=optional(body, "service_tier", str) if "service_tier" in body else None,
        max_tokens=_max_tokens(body),
        choices=(optional(body, "n", int) or 1) if "n" in body else 1,
    )


def _max_tokens(body: RawObject) -> int | None:
    """Return the larger of the limit's two names: which one an upstream heeds is its own."""
    newer = (
        optional(body, "max_completion_tokens", int) if "max_completion_tokens" in body else None
    )
    older = optional(body, "max_tokens", int) if "max_tokens" in body else None
    return older if newer is None else max(newer, older or 0)


def asks_for_usage(body: RawObject) -> bool:
    """Whether the client asked for the usage chunk at a stream's end."""
    options = optional(body, "stream_options", wire.StreamOptions)
    return options is not None and options.include_usage is True
