"""A Responses stream that passes, under the client's own frame."""

import msgspec

from meterway.kit import json, sse
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_errors import inner_error
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.openai_responses.items import with_maker, without_encrypted
from meterway.protocols.chat.openai_responses.passing import as_kept_and_shown, framed, keep, read
from meterway.protocols.chat.openai_responses.response import Ending, as_told, describe
from meterway.protocols.chat.openai_responses.stream_in import ENDS
from meterway.protocols.chat.openai_responses.usage import decode_usage
from meterway.protocols.usage import Usage

_STOP = b"\n\n"


class _Event(msgspec.Struct):
    """The fields of an event that the gateway reads."""

    type: str = ""
    delta: msgspec.Raw = wire.NULL
    item: msgspec.Raw = wire.NULL
    output_index: int = 0
    response: msgspec.Raw = wire.NULL
    sequence_number: int | None = None
    error: msgspec.Raw = wire.NULL


_decode = msgspec.json.Decoder(_Event).decode
_decode_object = msgspec.json.Decoder(RawObject).decode
_decode_text = msgspec.json.Decoder(str).decode


class ResponsesStreamReader:
    """Implements `StreamReader` for one call; the end leaves the response in `frame`.

    Events that tell of the response as a whole are told under the frame; an `error` event becomes
    the `response.failed` that clients understand. Other events, and data that is no event of a
    response, are forwarded as they came, without the encrypted reasoning nobody asked for. What is
    encrypted is kept and told under the name of `maker`.
    """

    def __init__(self, frame: Frame, model: str | None, maker: str = "") -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None
        self._frame = frame
        self._model = model
        self._maker = maker
        self._splitter = sse.Splitter()
        self._items: dict[int, msgspec.Raw] = {}
        self._sequence = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now."""
        blocks = self._splitter.feed(chunk)
        if len(blocks) == 1:
            return self._pass(blocks[0])
        return b"".join([self._pass(block) for block in blocks])

    def end(self) -> bytes:
        """Hear that the bytes are over: a last event may lack its blank line."""
        tail = self._splitter.rest().rstrip()
        return self._pass(tail + _STOP) if tail else b""

    def fail(self, failure: neutral.Failed) -> bytes:
        """Tell that the response failed; what was done of it stays in it."""
        self.failure = self.failure or failure
        ending, frame = Ending(), self._frame
        ending.fail(failure)
        kept, shown = as_kept_and_shown(self._output(), frame, self._maker)
        response = describe(
            frame,
            ending,
            model=self._model or frame.model,
            output=msgspec.Raw(shown),
            usage=self.usage,
            service_tier=self.service_tier,
        )
        keep(frame, json.encode(response), kept, ending.status)
        event = {
            "type": "response.failed",
            "sequence_number": self._sequence,
            "response": response,
        }
        return sse.render(json.encode(event), b"response.failed")

    def _pass(self, block: bytes) -> bytes:
        if self.closed or self.failure is not None:
            return b""
        parsed = sse.parse(block)
        if parsed is None:
            return block
        try:
            event = _decode(parsed.data)
            return self._told(event, parsed, block)
        except wire.UNREADABLE:
            return block

    def _told(self, event: _Event, parsed: sse.Event, block: bytes) -> bytes:
        if event.sequence_number is not None:
            self._sequence = event.sequence_number + 1
        kind = event.type or parsed.name.decode(errors="replace")
        if kind == "error" or (not kind and wire.given(event.error)):
            raw = event.error if wire.given(event.error) else msgspec.Raw(parsed.data)
            return self._fail(inner_error(raw))
        if wire.given(event.response):
            return self._respond(kind, event.response, parsed)
        if kind.endswith(".delta"):
            if wire.is_string(event.delta):
                self.output_bytes += len(_decode_text(event.delta).encode(errors="replace"))
            return block
        if not wire.given(event.item):
            return block
        if kind == "response.output_item.done":
            self._items[event.output_index] = msgspec.Raw(bytes(event.item))
        item = self._shown(event.item)
        return block if item is event.item else _changed(parsed, {"item": item})

    def _fail(self, failure: neutral.Failed) -> bytes:
        self.failure = failure
        return self.fail(as_told(failure))

    def _respond(self, kind: str, raw: msgspec.Raw, parsed: sse.Event) -> bytes:
        seen = read(raw)
        self.service_tier = seen.service_tier or self.service_tier
        self.usage = decode_usage(seen.usage) or self.usage
        ends, output = kind in ENDS, seen.output
        if ends and (not wire.given(output) or bytes(output) == b"[]"):
            output = self._output()  # some servers leave out what they streamed
        kept, shown = as_kept_and_shown(output, self._frame, self._maker)
        told = framed(raw, self._model, self._frame, shown)
        if ends:
            keep(self._frame, told, kept, kind.removeprefix("response."))
            if kind != "response.failed":
                self.closed = True
            elif as_told(failure := inner_error(seen.error)) is failure:
                self.failure = failure
            else:
                return self._fail(failure)
        return _changed(parsed, {"response": msgspec.Raw(told)})

    def _output(self) -> msgspec.Raw:
        return json.raw([self._items[place] for place in sorted(self._items)])

    def _shown(self, item: msgspec.Raw) -> msgspec.Raw:
        if self._frame.wants_encrypted:
            return with_maker(item, self._maker)
        return without_encrypted(item)


def _changed(parsed: sse.Event, fields: dict[str, msgspec.Raw]) -> bytes:
    return sse.render(json.encode({**_decode_object(parsed.data), **fields}), parsed.name)
