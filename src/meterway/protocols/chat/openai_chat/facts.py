"""Reads what routing and metering need from a request that may pass on unread.

Worded after https://platform.openai.com/docs/guides/error-codes.
"""

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.faults import decode_at, optional


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
        service_tier=optional(body, "service_tier", str),
    )


def asks_for_usage(body: RawObject) -> bool:
    """Whether the client asked for the usage chunk at a stream's end."""
    options = optional(body, "stream_options", wire.StreamOptions)
    return options is not None and options.include_usage is True
