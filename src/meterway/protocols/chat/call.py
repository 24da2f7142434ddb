"""A call: one client's request, in its own dialect and, when somebody needs it, in neutral form."""

from collections.abc import Mapping
from functools import cached_property

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Codec, Facts


class Call:
    """One request on its way through the pipeline.

    `id` is the 64-bit call id; `body` the client's top-level object with raw values; `headers`
    are those the dialect lets a client send on to the vendor (such as `anthropic-beta`).
    `request`, the neutral form, is decoded at first use and never where both sides speak the
    same dialect.
    """

    def __init__(
        self, id_: int, codec: Codec, body: RawObject, headers: Mapping[str, str] | None = None
    ) -> None:
        self.id = id_
        self.codec = codec
        self.body = body
        self.headers = headers or {}
        self.facts: Facts = codec.facts(body)

    @cached_property
    def request(self) -> neutral.Request:
        """The neutral form of the request. Raises `InvalidRequestError`."""
        return self.codec.decode_request(self.body)

    def release(self) -> None:
        """Forget the request's body; called once no other attempt can follow."""
        self.body = {}
        self.__dict__.pop("request", None)
