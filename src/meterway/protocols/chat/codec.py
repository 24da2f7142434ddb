"""What a codec of one chat dialect offers: translation both ways, and reading what passes."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage

Linkable: TypeAlias = frozenset[type[neutral.Image] | type[neutral.Document]]
LINKABLE: Final[Linkable] = frozenset({neutral.Image, neutral.Document})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway must know of a request it may pass on unread.

    `model` and `stream` as sent; `include_usage` is true where a streaming client asked for the
    final usage chunk, or where its dialect always reports usage. `max_tokens` is the most the
    client allows for one answer, None where it does not say; `choices` how many it wants.
    `service_tier` is in one word all that changes the price, such as "flex" or "fast_us".
    """

    model: str
    stream: bool = False
    include_usage: bool = True
    service_tier: str | None = None
    max_tokens: int | None = None
    choices: int = 1


class Encoded(msgspec.Struct, frozen=True):
    """A request body for an upstream, and the JSON paths of generic knobs left out of it."""

    body: bytes
    dropped: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway reads in a whole reply that passes through: body to send on, usage, tier.

    `failure` is set where a 200 carries an error object instead of a reply. `written` is how many
    bytes of it the model wrote, where somebody counted.
    """

    body: bytes
    written: int | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    failure: neutral.Failed | None = None

    @property
    def output_bytes(self) -> int:
        """What the model wrote, or the body's length, for an estimate where usage is missing."""
        return len(self.body) if self.written is None else self.written


class StreamDecoder(Protocol):
    """Turns one upstream stream's bytes into neutral events; state lives for that one stream."""

    def feed(self, chunk: bytes) -> list[neutral.Event]:
        """Take the next bytes, cut anywhere, and return the events completed by them.

        After `Closed` or `Failed` further bytes are ignored. Raises `BadReplyError` on data
        that is not of the dialect.
        """

    def end(self) -> list[neutral.Event]:
        """Hear that the upstream's bytes are over and return the events that completes.

        The last is `Closed` where the dialect, or the habit of its servers, allows the stream to
        end here (OpenAI chat: after every choice's finish_reason, without `[DONE]`). Where
        neither `feed` nor `end` ever returned `Closed` or `Failed`, the stream was cut.
        """


class StreamEncoder(Protocol):
    """Turns neutral events into one client stream's bytes; state lives for that one stream."""

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`; may be empty."""


class StreamReader(Protocol):
    """Reads a stream that passes through unchanged, dialect to same dialect.

    The attributes hold what was seen so far. `output_bytes` counts the UTF-8 bytes of visible
    and hidden output, for an estimate where usage never came. `closed` is true after the
    dialect's own end (`[DONE]`, `message_stop`), `failure` after an error event.
    """

    usage: Usage | None
    output_bytes: int
    closed: bool
    failure: neutral.Failed | None
    service_tier: str | None

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now: whole events only.

        Events the client did not ask for are left out; `model` is rewritten where the reader
        was made with one. An unfinished event is kept until its end came.
        """

    def end(self) -> bytes:
        """Hear that the upstream's bytes are over and return what is still to be forwarded.

        Sets `closed` where the stream may end here, adding the dialect's own end when the
        upstream left it out; where `closed` stays false the stream was cut.
        """


class ClientCodec(Protocol):
    """A dialect as clients speak it.

    Stateless, one instance serving all calls, or made for one call whose reply repeats more of its
    request than the neutral form holds. `through` is what passes the dialect's own requests and
    replies through; None where no upstream speaks it.
    """

    dialect: Dialect

    @property
    def through(self) -> "PassingCodec | None":
        """The same codec, where upstreams speak its dialect too."""

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need.

        Raises `InvalidRequestError` where the model is missing or a field has the wrong type.
        """

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request, without counting tokens or building its tree."""

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell the makers of the encrypted thoughts that a request brings, in their order.

        They are as the client says; cheap, but read only where there is a choice of routes.
        """

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request. Raises `InvalidRequestError` naming the JSON path at fault."""

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""

    def stream_encoder(self, request: neutral.Request) -> StreamEncoder:
        """Return an encoder for one client stream answering `request`."""

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error after the first byte."""


class UpstreamCodec(Protocol):
    """A dialect as upstreams speak it. Stateless; one instance serves all.

    `takes_urls` are the parts it can give an upstream by URL; of the others the content itself is
    put into the request before `encode_request`. All of them is `LINKABLE`.
    """

    dialect: Dialect
    takes_urls: Linkable

    def at(self, maker: str) -> "UpstreamCodec":
        """Return the codec for the upstream `maker`, where that makes a difference.

        Thoughts it encrypts are read as its own, and those of others are left out of what it is
        sent, as far as no other account of their vendor's can read them.
        """

    def encode_request(self, request: neutral.Request, model: str) -> Encoded:
        """Write a request for an upstream that calls the model `model`.

        Raises `UnsupportedContentError` naming the JSON path of a part that cannot be said.
        """

    def decode_reply(self, body: bytes) -> neutral.Reply | neutral.Failed:
        """Read a whole upstream reply; `Failed` where a 200 carries an error.

        Raises `BadReplyError`.
        """

    def stream_decoder(self) -> StreamDecoder:
        """Return a decoder for one upstream stream."""

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> neutral.Failed:
        """Read an upstream's error answer (status 4xx or 5xx), whatever its body looks like.

        The message is the vendor's, cut to 2,000 characters and free of credentials.
        """


class PassingCodec(Protocol):
    """A dialect whose requests and replies pass untranslated between equals."""

    def at(self, maker: str) -> "PassingCodec":
        """Return what passes the next attempt's request and reply; as `UpstreamCodec.at`."""

    def pass_request(self, body: RawObject, model: str) -> bytes:
        """Write the client's own request for an upstream of the same dialect.

        Sets `model`, and what metering needs (`stream_options.include_usage`); every other
        value travels untouched, every key once.
        """

    def pass_reply(self, body: bytes, model: str | None) -> Seen:
        """Read a whole reply that passes through; `model`, when given, replaces the one inside."""

    def stream_reader(self, facts: Facts, model: str | None) -> StreamReader:
        """Return a reader for one stream that passes through; `model` replaces the one inside."""


class Codec(ClientCodec, UpstreamCodec, PassingCodec, Protocol):
    """One chat dialect, as client and as upstream protocol."""

    def at(self, maker: str) -> "Codec":
        """Return the codec for the upstream `maker`, in both of its other halves."""
