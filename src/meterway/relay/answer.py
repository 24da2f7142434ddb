"""An upstream's accepted answer: the first bytes for the client, and where the rest comes from."""

from collections.abc import AsyncIterator

import msgspec

from meterway.protocols.chat.codec import Seen, StreamReader
from meterway.upstreams.transport import Response
from meterway.upstreams.types import Route


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the first successful attempt yields.

    `first` is what can be sent now: a whole reply, or a stream's first events. `rest` carries
    what follows of a stream through `meter`; it is None where `first` is all.
    """

    route: Route
    first: bytes
    meter: Seen | StreamReader
    rest: "Rest | None" = None


class Rest(msgspec.Struct, frozen=True):
    """The part of an upstream's stream that was not read yet, and its iterator."""

    response: Response
    chunks: AsyncIterator[bytes]
    pipe: StreamReader
