"""Turns an upstream's bytes into the client's, by passing through or by translating, and meters.

A stream goes through something that offers what `StreamReader` promises: the client dialect's own
reader where both sides speak it, else a `Translator`. A whole reply goes through `whole_reply`.
"""

from typing import assert_never

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.call import Call
from meterway.protocols.chat.codec import (
    PassingCodec,
    Seen,
    StreamDecoder,
    StreamEncoder,
    StreamReader,
    UpstreamCodec,
)
from meterway.protocols.chat.wording import words_of
from meterway.protocols.usage import Usage


class Translator:
    """A stream from one dialect to another, event by event; a `StreamReader` to its user."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder, alias: str | None) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._alias = alias
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take the upstream's next bytes and return the client's."""
        return self.tell(self._decoder.feed(chunk))

    def end(self) -> bytes:
        """Hear that the upstream's bytes are over and return the client's last."""
        return self.tell(self._decoder.end())

    def tell(self, events: list[neutral.Event]) -> bytes:
        """Meter `events` and return them in the client's dialect."""
        encode = self._encoder.encode
        if len(events) == 1:
            return encode(self._note(events[0]))
        return b"".join([encode(self._note(event)) for event in events])

    def _note(self, event: neutral.Event) -> neutral.Event:
        match event:
            case neutral.TextDelta() | neutral.ThinkingDelta() | neutral.RefusalDelta():
                self.output_bytes += _size(event.text)
            case neutral.ToolCallDelta():
                self.output_bytes += _size(event.arguments)
            case neutral.UsageReported():
                self.usage = event.usage
            case neutral.Opened():
                return self._opened(event)
            case neutral.Closed():
                self.closed = True
            case neutral.Failed():
                self.failure = event
            case (
                neutral.ThinkingSigned()
                | neutral.ThinkingRedacted()
                | neutral.ToolCallOpened()
                | neutral.ChoiceEnded()
            ):
                pass
            case _:
                assert_never(event)
        return event

    def _opened(self, event: neutral.Opened) -> neutral.Opened:
        self.usage = event.usage or self.usage
        self.service_tier = event.service_tier
        if self._alias is None:
            return event
        return msgspec.structs.replace(event, model=self._alias)


def _size(text: str) -> int:
    """Return the text's length in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def passing_codec(call: Call, upstream: UpstreamCodec, maker: str) -> PassingCodec | None:
    """Return what passes `call` to `maker` where both sides speak one dialect; None: translate."""
    if upstream.dialect is not call.codec.dialect:
        return None
    through = call.codec.through
    return None if through is None else through.at(maker)


def stream_pipe(
    call: Call, upstream: UpstreamCodec, passing: PassingCodec | None, alias: str | None
) -> StreamReader:
    """Return what turns one stream of the `upstream` dialect into the one `call` asked for."""
    if passing is not None:
        return passing.stream_reader(call.facts, alias)
    return Translator(upstream.stream_decoder(), call.codec.stream_encoder(call.asked()), alias)


def whole_reply(
    call: Call,
    upstream: UpstreamCodec,
    passing: PassingCodec | None,
    body: bytes,
    alias: str | None,
) -> Seen:
    """Turn a whole reply of the `upstream` dialect into the one `call` asked for."""
    if passing is not None:
        return passing.pass_reply(body, alias)
    reply = upstream.decode_reply(body)
    if isinstance(reply, neutral.Failed):
        return Seen(body=b"", failure=reply)
    if alias is not None:
        reply = msgspec.structs.replace(reply, model=alias)
    return Seen(
        body=call.codec.encode_reply(reply),
        written=_written(reply) if reply.usage is None else None,
        usage=reply.usage,
        service_tier=reply.service_tier,
    )


def _written(reply: neutral.Reply) -> int:
    """Return how many bytes of a reply the model wrote: clients may be told more, or less."""
    return sum(_size_of(part) for choice in reply.choices for part in choice.parts)


def _size_of(part: neutral.AssistantPart) -> int:
    match part:
        case neutral.Text():
            return _size(words_of(part.text))
        case neutral.Thinking() | neutral.Refusal():
            return _size(part.text)
        case neutral.ToolCall():
            return _size(part.arguments)
        case _:
            return 0
