"""OpenAI's Responses API as a chat dialect, for clients and for upstreams."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from meterway.kit import ids
from meterway.kit.clock import Clock, SystemClock
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import LINKABLE, Encoded, Facts, PassingCodec, Seen
from meterway.protocols.chat.envelopes import makers_in
from meterway.protocols.chat.openai_errors import decode_error
from meterway.protocols.chat.openai_responses import (
    facts,
    passing,
    reply_in,
    request_in,
    request_out,
    stream_in,
    wire,
)
from meterway.protocols.chat.openai_responses.frame import Frame, frame_of
from meterway.protocols.chat.openai_responses.stream_out import ResponsesStreamEncoder, WholeEncoder
from meterway.protocols.chat.openai_responses.stream_passing import ResponsesStreamReader
from meterway.protocols.chat.sizes import Sizes, sizes_of_items
from meterway.protocols.dialects import Dialect

_Teller: TypeAlias = ResponsesStreamEncoder | ResponsesStreamReader


class OpenAIResponses:
    """The codec of `POST /v1/responses`; see `protocols.chat.codec.Codec` for what each does.

    Stateless: what it tells a client is framed by nothing but the API's defaults. Clients are
    served by a `ResponsesTurn`.
    """

    dialect = Dialect.OPENAI_RESPONSES
    takes_urls = LINKABLE

    def __init__(self, clock: Clock | None = None, maker: str = "") -> None:
        self._clock = clock or SystemClock()
        self._maker = maker

    def at(self, maker: str) -> "OpenAIResponses":
        """Return the codec for an upstream that alone can read what it encrypts."""
        if maker == self._maker:
            return self
        return _bound(self._clock, maker)  # type: ignore[arg-type]  # a clock's hash is its identity

    @property
    def through(self) -> PassingCodec | None:
        """Upstreams speak this dialect too."""
        return self

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need. Raises `InvalidRequestError`."""
        return facts.read_facts(body)

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request."""
        return sizes_of_items(body)

    def makers(self, body: RawObject) -> Iterator[str]:
        """Tell whose encrypted items a request brings."""
        return makers_in(body.get("input", wire.NULL))

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request. Raises `InvalidRequestError` naming the path at fault."""
        return request_in.decode_request(body)

    def encode_request(self, request: neutral.Request, model: str) -> Encoded:
        """Write a request for an upstream. Raises `UnsupportedContentError`."""
        return request_out.encode_request(request, model, self._maker)

    def pass_request(self, body: RawObject, model: str) -> bytes:
        """Write the client's own request with `model` set and without state."""
        return passing.pass_request(body, model, self._maker)

    def decode_reply(self, body: bytes) -> neutral.Reply | neutral.Failed:
        """Read a whole upstream response. Raises `BadReplyError`."""
        return reply_in.decode_reply(body, self._maker)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole response for a client."""
        return self._turn().encode_reply(reply)

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole response that passes through. Raises `BadReplyError`."""
        return self._turn().pass_reply(body, model)

    def stream_decoder(self) -> stream_in.ResponsesStreamDecoder:
        """Return a decoder for one upstream stream."""
        return stream_in.ResponsesStreamDecoder(self._maker)

    def stream_encoder(self, request: neutral.Request) -> ResponsesStreamEncoder:
        """Return an encoder for one client stream."""
        return self._turn().stream_encoder(request)

    def stream_reader(self, facts: Facts, model: str | None) -> ResponsesStreamReader:
        """Return a reader for one stream that passes through; usage is always in it."""
        return self._turn().stream_reader(facts, model)

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error."""
        return self._turn().encode_failure(failure)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
        """Read an upstream's error answer; its headers say nothing more in this dialect."""
        del headers
        return decode_error(status, body)

    def _turn(self) -> "ResponsesTurn":
        frame = frame_of({}, ids.object_id("resp"), int(self._clock.now()))
        return ResponsesTurn(frame, self._clock).at(self._maker)


@lru_cache(maxsize=1024)
def _bound(clock: Clock, maker: str) -> OpenAIResponses:
    return OpenAIResponses(clock, maker)


class ResponsesTurn(OpenAIResponses):
    """The same codec made for one call, whose response is told under `frame`.

    Another attempt begins again: what an earlier one told its frame is replaced.
    """

    def __init__(self, frame: Frame, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.frame = frame
        self._teller: _Teller | None = None

    def at(self, maker: str) -> "ResponsesTurn":
        """Hear whose answer the next attempt asks for."""
        self._maker = maker
        return self

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write the whole response, and leave it in the frame."""
        self.frame.begin()
        WholeEncoder(self.frame, self._clock).take(reply)
        assert self.frame.final is not None
        return self.frame.final

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole response that passes, and leave it in the frame."""
        self.frame.begin()
        return passing.pass_reply(body, model, self.frame, self._maker)

    def stream_encoder(self, request: neutral.Request) -> ResponsesStreamEncoder:
        """Return an encoder for the call's stream."""
        del request  # the frame says all that the form of an answer depends on
        self._teller = encoder = self._encoder()
        return encoder

    def stream_reader(self, facts: Facts, model: str | None) -> ResponsesStreamReader:
        """Return a reader for the call's stream that passes through."""
        del facts
        self.frame.begin()
        self._teller = reader = ResponsesStreamReader(self.frame, model, self._maker)
        return reader

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write `response.failed`, which follows what the call's stream told so far."""
        return (self._teller or self._encoder()).fail(failure)

    def _encoder(self) -> ResponsesStreamEncoder:
        self.frame.begin()
        return ResponsesStreamEncoder(self.frame, self._clock)
