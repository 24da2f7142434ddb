"""Anthropic's Messages API as a chat dialect, for clients and for upstreams."""

from collections.abc import Iterable, Mapping
from typing import Self

from meterway.kit.json import RawObject
from meterway.protocols.chat import anthropic_family, neutral
from meterway.protocols.chat.anthropic_messages import (
    errors,
    passing,
    reply,
    request_in,
    request_out,
    stream_in,
    stream_out,
    wire,
)
from meterway.protocols.chat.codec import LINKABLE, Encoded, Facts, PassingCodec, Seen
from meterway.protocols.chat.envelopes import makers_in
from meterway.protocols.chat.sizes import sizes_of
from meterway.protocols.dialects import Dialect


class AnthropicMessages:
    """The codec of `POST /v1/messages`; see `protocols.chat.codec.Codec` for what each does."""

    dialect = Dialect.ANTHROPIC_MESSAGES
    takes_urls = LINKABLE

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need. Raises `InvalidRequestError`."""
        return request_in.facts(body)

    @property
    def through(self) -> PassingCodec:
        """Upstreams speak this dialect too."""
        return self

    sizes = staticmethod(sizes_of)

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell whose encrypted thoughts a request brings."""
        return makers_in(body.get("messages", wire.NULL))

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request. Raises `InvalidRequestError` naming the path at fault."""
        return request_in.decode_request(body)

    def at(self, maker: str) -> Self:
        """Return this codec: what one key of the vendor's made, all others read."""
        del maker
        return self

    def encode_request(self, request: neutral.Request, model: str) -> Encoded:
        """Write a request for an upstream. Raises `UnsupportedContentError`."""
        return request_out.encode_request(request, model)

    def pass_request(self, body: RawObject, model: str) -> bytes:
        """Write the client's own request with `model` set."""
        return passing.pass_request(body, model)

    def decode_reply(self, body: bytes) -> neutral.Reply | neutral.Failed:
        """Read a whole upstream reply. Raises `BadReplyError`."""
        return reply.decode_reply(body)

    def encode_reply(self, reply_: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""
        return reply.encode_reply(reply_)

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole reply that passes through. Raises `BadReplyError`."""
        return reply.pass_reply(body, model)

    def stream_decoder(self) -> stream_in.AnthropicStreamDecoder:
        """Return a decoder for one upstream stream."""
        return stream_in.AnthropicStreamDecoder()

    def stream_encoder(self, request: neutral.Request) -> stream_out.AnthropicStreamEncoder:
        """Return an encoder for one client stream."""
        return stream_out.AnthropicStreamEncoder(request)

    def stream_reader(self, facts: Facts, model: str | None) -> passing.AnthropicStreamReader:
        """Return a reader for a stream that passes through; usage is always in it."""
        del facts
        return passing.AnthropicStreamReader(model)

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error."""
        return anthropic_family.encode_failure(failure)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
        """Read an upstream's error answer, whatever its body looks like."""
        return errors.decode_error(status, headers, body)
