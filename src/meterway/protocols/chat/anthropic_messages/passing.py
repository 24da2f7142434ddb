"""What passes through unchanged, Anthropic to Anthropic: requests, and streams read on the way.

Of a request only the thoughts are left out that another vendor signed.
A stream's deltas are only looked at for their size; `message_start`, `message_delta`, `error` and
`message_stop` are decoded for usage, tier, failure and the end.
"""

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.errors import failed
from meterway.protocols.chat.anthropic_messages.foreign import without_others
from meterway.protocols.chat.anthropic_messages.stream_out import MESSAGE_STOP
from meterway.protocols.chat.anthropic_messages.usage import Tally, told_service
from meterway.protocols.usage import Usage

_DELTA_EVENT = b"event: content_block_delta\n"
_DELTA_DATA = b"event: content_block_delta\ndata: "


class _Said(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _DeltaEvent(msgspec.Struct):
    delta: _Said


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Head(msgspec.Struct):
    usage: wire.Usage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: _Head | None = None
    delta: _Delta | None = None
    usage: wire.Usage | None = None
    error: wire.Error | None = None


_delta_decoder = msgspec.json.Decoder(_DeltaEvent)
_event_decoder = msgspec.json.Decoder(_Event)
_raw_object = msgspec.json.Decoder(json.RawObject)


def pass_request(body: json.RawObject, model: str) -> bytes:
    """Write the client's own request with `model` set; every other value travels untouched."""
    sent = {**body, "model": json.raw(model)}
    if "messages" in body:
        sent["messages"] = without_others(body["messages"])
    return json.encode(sent)


class AnthropicStreamReader:
    """Reads a stream on its way to a client of the same dialect.

    Bytes are forwarded as they came, whole events at a time; only `message_start` is written
    anew, and only where a model was given. What cannot be read is forwarded unread.
    """

    def __init__(self, model: str | None) -> None:
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.closed = False
        self.failure: neutral.Failed | None = None
        self.service_tier: str | None = None
        self._model = model
        self._splitter = sse.Splitter()
        self._tally = Tally()
        self._stopped = False

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to forward now: whole events only."""
        blocks = self._splitter.feed(chunk)
        if len(blocks) == 1:
            return self._read(blocks[0])
        return b"".join([self._read(block) for block in blocks])

    def end(self) -> bytes:
        """Hear that the bytes are over; a `message_stop` missing after a stop reason is added."""
        rest = self._splitter.rest()
        forward = self._read(rest.rstrip(b"\r\n") + b"\n\n") if rest.strip() else b""
        if self._stopped and not self.closed and self.failure is None:
            self._end()
            forward += MESSAGE_STOP
        return forward

    def _read(self, block: bytes) -> bytes:
        if block.startswith(_DELTA_EVENT):
            self._count(block)
            return block
        event = sse.parse(block)
        if event is None:
            return block
        try:
            return self._note(_event_decoder.decode(event.data), event, block)
        except wire.UNREADABLE:
            return block

    def _count(self, block: bytes) -> None:
        try:
            if block.startswith(_DELTA_DATA):
                said = _delta_decoder.decode(block[len(_DELTA_DATA) :]).delta
            else:
                event = sse.parse(block)
                said = _delta_decoder.decode(event.data if event else b"").delta
        except wire.UNREADABLE:
            return  # a delta of another kind, which says nothing
        text = said.text or said.partial_json or said.thinking
        self.output_bytes += len(text) if text.isascii() else len(text.encode())

    def _note(self, read: _Event, event: sse.Event, block: bytes) -> bytes:
        match read.type or event.name.decode():
            case "message_start":
                return self._note_start(read, event, block)
            case "message_delta":
                self._tally.add(read.usage)
                self.usage = self._tally.usage()
                self._stopped |= read.delta is not None and read.delta.stop_reason is not None
            case "message_stop":
                self._end()
            case "error":
                self.failure = failed(read.error)
            case "content_block_delta":  # without its event line
                self._count(sse.render(event.data, b"content_block_delta"))
            case _:
                pass
        return block

    def _end(self) -> None:
        self.closed = True
        self._tally.end()
        self.usage = self._tally.usage()

    def _note_start(self, read: _Event, event: sse.Event, block: bytes) -> bytes:
        report = read.message.usage if read.message else None
        self._tally.open(report)
        self.usage = self._tally.usage()
        self.service_tier = told_service(report)
        if self._model is None:
            return block
        outer = _raw_object.decode(event.data)
        message = _raw_object.decode(outer["message"])
        outer["message"] = json.raw({**message, "model": self._model})
        return sse.render(json.encode(outer), event.name)
