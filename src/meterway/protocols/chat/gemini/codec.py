"""Google's Gemini API as a chat dialect, for clients and for upstreams."""

from collections.abc import Iterable, Mapping
from typing import Self

from meterway.kit import json
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Encoded, Facts, Linkable, PassingCodec, Seen
from meterway.protocols.chat.gemini import (
    errors,
    facts,
    framing,
    passing,
    reply_in,
    reply_out,
    request_in,
    request_out,
    stream_in,
    stream_out,
    wire,
)
from meterway.protocols.chat.gemini.marks import makers_of
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.dialects import Dialect


class Gemini:
    """The codec of `generateContent`; see `protocols.chat.codec.Codec` for what each does.

    A request's `model` and `stream` are what its path says; `pass_request` takes them out. The
    streams it writes are server-sent events.
    """

    dialect = Dialect.GEMINI
    takes_urls: Linkable = frozenset()  # an address of its own file store is no URL

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need. Raises `InvalidRequestError`."""
        return facts.read_facts(body)

    @property
    def through(self) -> PassingCodec:
        """Upstreams speak this dialect too."""
        return self

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request."""
        return facts.read_sizes(body)

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell whose encrypted thoughts a request brings."""
        return makers_of(body.get("contents", wire.NULL))

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
        """Write the client's own request; the model goes into the path."""
        return passing.pass_request(body, model)

    def decode_reply(self, body: bytes) -> neutral.Reply | neutral.Failed:
        """Read a whole upstream reply. Raises `BadReplyError`."""
        return reply_in.decode_reply(body)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""
        return reply_out.encode_reply(reply)

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole reply that passes through. Raises `BadReplyError`."""
        return passing.pass_reply(body, model)

    def stream_decoder(self) -> stream_in.GeminiStreamDecoder:
        """Return a decoder for one upstream stream."""
        return stream_in.GeminiStreamDecoder()

    def stream_encoder(self, request: neutral.Request) -> stream_out.GeminiStreamEncoder:
        """Return an encoder for one client stream."""
        return stream_out.GeminiStreamEncoder(request, self._framing())

    def stream_reader(self, facts: Facts, model: str | None) -> passing.GeminiStreamReader:
        """Return a reader for a stream that passes through; usage is always in it."""
        del facts
        return passing.GeminiStreamReader(model, self._framing())

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the chunk that tells a client of an error."""
        frames = self._framing(began=True)
        return frames.chunk(json.encode(errors.encode_error(failure))) + frames.close()

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
        """Read an upstream's error answer, whatever its body looks like."""
        return errors.decode_error(status, headers, body)

    def _framing(self, *, began: bool = False) -> framing.Framing:
        """Return how one stream is framed; `began`: some of it has left already."""
        del began
        return framing.Events()


class GeminiArray(Gemini):
    """The same for clients that did not ask for `alt=sse`: their streams are JSON arrays."""

    def _framing(self, *, began: bool = False) -> framing.Framing:
        return framing.Array(began=began)
