"""A call: one client's request, in its own dialect and, when somebody needs it, in neutral form."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import ClientCodec, Facts
from meterway.protocols.chat.sources import DataSource

Link: TypeAlias = tuple[type[neutral.Image] | type[neutral.Document], str]
Brought: TypeAlias = dict[Link, DataSource]


class Call:
    """One request on its way through the pipeline.

    `id` is the 64-bit call id; `body` the client's top-level object with raw values; `headers`
    are those the dialect lets a client send on to the vendor (such as `anthropic-beta`); `billing`
    names the billing channel it came by, empty for the usual one.
    The neutral form is decoded only where the two sides speak different dialects, and not kept:
    a long request that waits for its answer is held once, and its memory serves the next call
    while it is still in the processor's cache.
    `brought` holds what was fetched of what it names by URL, by kind and URL; None where nothing.
    """

    def __init__(
        self,
        id_: int,
        codec: ClientCodec,
        body: RawObject,
        headers: Mapping[str, str] | None = None,
        billing: str = "",
    ) -> None:
        self.id = id_
        self.codec = codec
        self.body = body
        self.headers = headers or {}
        self.billing = billing
        self.facts: Facts = codec.facts(body)
        self.brought: Brought | None = None
        self._asked: neutral.Request | None = None

    def request(self) -> neutral.Request:
        """Decode the request into its neutral form. Raises `InvalidRequestError`."""
        request = self.codec.decode_request(self.body)
        self._asked = msgspec.structs.replace(request, messages=(), system=(), tools=(), extra={})
        return request

    def asked(self) -> neutral.Request:
        """Return the request without its content: what the form of an answer depends on."""
        if self._asked is None:
            self.request()
        assert self._asked is not None
        return self._asked

    def makers(self) -> list[str]:
        """Return the makers of the encrypted thoughts it brings, each once, the latest first."""
        return list(dict.fromkeys(reversed(list(self.codec.makers(self.body)))))

    def release(self) -> None:
        """Forget the request's body; called once no other attempt can follow."""
        self.body = {}
