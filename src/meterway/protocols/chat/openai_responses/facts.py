"""Reads what routing and metering need from a request that may pass on unread."""

from typing import Annotated

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_family import decode_at, optional

_Positive = Annotated[int, msgspec.Meta(ge=1)]


def read_facts(body: RawObject) -> Facts:
    """Return the facts of a request; a stream always tells its usage.

    Raises `InvalidRequestError`.
    """
    model = decode_at(body["model"], str, "model") if "model" in body else ""
    if not model:
        raise InvalidRequestError("you must provide a model parameter", param="model")
    return Facts(
        model=model,
        stream=optional(body, "stream", bool) is True,
        service_tier=optional(body, "service_tier", str),
        max_tokens=optional(body, "max_output_tokens", _Positive),
    )
