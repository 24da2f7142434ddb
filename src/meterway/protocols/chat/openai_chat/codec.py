"""The codec of OpenAI's chat completions: the one class that offers all its halves."""

from collections.abc import Iterable, Mapping
from typing import Self

from meterway.kit.clock import Clock, SystemClock
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral, openai_errors, openai_family
from meterway.protocols.chat.codec import Encoded, Facts, Linkable, PassingCodec, Seen
from meterway.protocols.chat.envelopes import makers_in
from meterway.protocols.chat.openai_chat import (
    facts,
    passing,
    reply_in,
    reply_out,
    request_in,
    request_out,
    stream_in,
    stream_out,
    wire,
)
from meterway.protocols.chat.sizes import sizes_of
from meterway.protocols.dialects import Dialect


class OpenAIChat:
    """Implements `Codec`; `clock` dates replies of upstreams that don't."""

    dialect = Dialect.OPENAI_CHAT
    takes_urls: Linkable = frozenset({neutral.Image})

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need."""
        return facts.read_facts(body)

    @property
    def through(self) -> PassingCodec:
        """Upstreams speak this dialect too."""
        return self

    sizes = staticmethod(sizes_of)

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell whose encrypted thoughts a request brings."""
        return makers_in(body.get("messages", wire.NULL))

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request."""
        return request_in.decode_request(body)

    def at(self, maker: str) -> Self:
        """Return this codec: what one key of the vendor's made, all others read."""
        del maker
        return self

    def encode_request(self, request: neutral.Request, model: str) -> Encoded:
        """Write a request for an upstream that calls the model `model`."""
        return request_out.encode_request(request, model)

    def pass_request(self, body: RawObject, model: str) -> bytes:
        """Write the client's own request for an upstream of the same dialect."""
        return passing.pass_request(body, model)

    def decode_reply(self, body: bytes) -> neutral.Reply | neutral.Failed:
        """Read a whole upstream reply."""
        return reply_in.decode_reply(body)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""
        return reply_out.encode_reply(reply, self._now())

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole reply that passes through."""
        return passing.pass_reply(body, model)

    def stream_decoder(self) -> stream_in.ChatStreamDecoder:
        """Return a decoder for one upstream stream."""
        return stream_in.ChatStreamDecoder()

    def stream_encoder(self, request: neutral.Request) -> stream_out.ChatStreamEncoder:
        """Return an encoder for one client stream answering `request`."""
        return stream_out.ChatStreamEncoder(include_usage=request.include_usage, now=self._now())

    def stream_reader(self, facts: Facts, model: str | None) -> passing.ChatStreamReader:
        """Return a reader for one stream that passes through."""
        return passing.ChatStreamReader(facts, model)

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error after the first byte."""
        return openai_family.encode_failure(failure)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
        """Read an upstream's error answer; its headers say nothing more in this dialect."""
        del headers
        return openai_errors.decode_error(status, body)

    def _now(self) -> int:
        return int(self._clock.now())


OPENAI_CHAT = OpenAIChat(SystemClock())
