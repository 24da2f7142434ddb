"""Writing a client's stream: neutral events to Anthropic's server-sent events.

Follows https://platform.claude.com/docs/en/build-with-claude/streaming: one block is open at a
time, blocks are numbered from 0 without gaps, nothing comes before `message_start`. Upstreams may
interleave parallel tool calls: what belongs to a later part is kept until the call before it is
complete. Only the first choice is told, as the dialect has one.
"""

from typing import Any, assert_never

import msgspec

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_family import encode_failure
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.reply import stopped
from meterway.protocols.chat.anthropic_messages.usage import encode_usage
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

_PartEvent = (
    neutral.TextDelta
    | neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
    | neutral.ToolCallOpened
    | neutral.ToolCallDelta
)
_text = msgspec.json.Encoder().encode
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{%b%b}}\n\n'
)
_STOP_BLOCK = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_TEXT = b'"type":"text_delta","text":'
_THINKING = b'"type":"thinking_delta","thinking":'
_SIGNATURE = b'"type":"signature_delta","signature":'
_INPUT = b'"type":"input_json_delta","partial_json":'


class AnthropicStreamEncoder:
    """Turns neutral events into one client's stream.

    The closing `message_delta` waits for the usage that upstreams report after the choice ended,
    or for `Closed`; a later report is told in another one, as its counts are cumulative.
    """

    def __init__(self, request: neutral.Request) -> None:
        self._model = request.model
        self._usage: Usage | None = None
        self._started = False
        self._index = -1
        self._part: int | None = None
        self._arguments: list[str] | None = None
        self._waiting: dict[int, list[_PartEvent]] = {}
        self._calls_over: set[int] = set()
        self._refused = False
        self._end: neutral.ChoiceEnded | None = None
        self._told_end = False

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`; may be empty."""
        match event:
            case neutral.Opened():
                return self._start(event)
            case neutral.UsageReported(usage=usage):
                self._usage = usage
                return b"" if self._end is None else self._message_delta(self._end)
            case neutral.Closed():
                return self._close()
            case neutral.Failed():
                return encode_failure(event)
            case neutral.ChoiceEnded():
                return self._end_choice(event) if event.choice == 0 else b""
            case _:
                return self._take(event) if event.choice == 0 else b""

    def _start(self, opened: neutral.Opened) -> bytes:
        if self._started:
            return b""
        self._started = True
        self._usage = opened.usage
        message: dict[str, Any] = {
            "id": opened.id,
            "type": "message",
            "role": "assistant",
            "model": opened.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(opened.usage, opened.service_tier),
        }
        return _event(b"message_start", {"type": "message_start", "message": message})

    def _ensure_started(self) -> bytes:
        return b"" if self._started else self._start(neutral.Opened(id="", model=self._model))

    def _take(self, event: _PartEvent) -> bytes:
        if event.part == self._part:
            if self._waiting:
                return self._write(event) + self._flush_if_complete()
            return self._write(event)
        if isinstance(event, neutral.TextDelta) and not event.text:
            return b""
        if isinstance(event, neutral.ToolCallDelta) and event.part in self._calls_over:
            return _nothing_more(event)
        if self._part is not None and self._is_calling() and not self._is_complete():
            self._waiting.setdefault(event.part, []).append(event)
            return b""
        return self._ensure_started() + self._switch(event)

    def _is_calling(self) -> bool:
        return self._arguments is not None

    def _is_complete(self) -> bool:
        """Whether the open tool call's arguments are a whole JSON object."""
        assert self._arguments is not None
        text = "".join(self._arguments)
        self._arguments[:] = [text]
        if not text.rstrip().endswith("}"):
            return False
        try:
            _object_decoder.decode(text)
        except wire.UNREADABLE:
            return False
        return True

    def _flush_if_complete(self) -> bytes:
        written = []
        while self._waiting and not (self._is_calling() and not self._is_complete()):
            written.append(self._flush_next())
        return b"".join(written)

    def _flush_next(self) -> bytes:
        events = self._waiting.pop(min(self._waiting))
        return self._switch(events[0]) + b"".join(self._write(event) for event in events[1:])

    def _switch(self, event: _PartEvent) -> bytes:
        """Close the open block and open the one `event` belongs to."""
        closed = self._close_block()
        self._part, self._index = event.part, self._index + 1
        self._arguments = [] if isinstance(event, neutral.ToolCallOpened) else None
        start = {
            "type": "content_block_start",
            "index": self._index,
            "content_block": _block(event),
        }
        return closed + _event(b"content_block_start", start) + self._write(event)

    def _close_block(self) -> bytes:
        if self._part is None:
            return b""
        if self._arguments is not None:
            self._calls_over.add(self._part)
        self._part = self._arguments = None
        return _STOP_BLOCK % self._index

    def _write(self, event: _PartEvent) -> bytes:
        match event:
            case neutral.TextDelta(text=text):
                return self._delta(_TEXT, text)
            case neutral.ToolCallDelta(arguments=arguments):
                if self._arguments is not None:
                    self._arguments.append(arguments)
                return self._delta(_INPUT, arguments)
            case neutral.ThinkingDelta(text=text):
                return self._delta(_THINKING, text)
            case neutral.ThinkingSigned(signature=signature):
                return self._delta(_SIGNATURE, signature)
            case neutral.RefusalDelta(text=text):
                self._refused = True
                return self._delta(_TEXT, text)
            case neutral.ThinkingRedacted() | neutral.ToolCallOpened():
                return b""
            case _:
                assert_never(event)

    def _delta(self, kind: bytes, text: str) -> bytes:
        return _DELTA % (self._index, kind, _text(text)) if text else b""

    def _end_choice(self, event: neutral.ChoiceEnded) -> bytes:
        self._end = event
        written = [self._ensure_started()]
        while self._waiting:
            written.append(self._flush_next())
        written.append(self._close_block())
        return b"".join(written)

    def _message_delta(self, end: neutral.ChoiceEnded) -> bytes:
        self._told_end = True
        usage = encode_usage(self._usage)
        if self._usage is None or not self._usage.cache_write_1h:
            del usage["cache_creation"]  # the vendor tells the split in message_start alone
        delta = {
            "type": "message_delta",
            "delta": stopped(end.stop, end.stop_sequence, refused=self._refused),
            "usage": usage,
        }
        return _event(b"message_delta", delta)

    def _close(self) -> bytes:
        written = []
        if self._end is None:
            written.append(self._end_choice(neutral.ChoiceEnded(stop=neutral.StopReason.END)))
        assert self._end is not None
        if not self._told_end:
            written.append(self._message_delta(self._end))
        return b"".join(written) + MESSAGE_STOP


def _block(event: _PartEvent) -> dict[str, Any]:
    match event:
        case neutral.TextDelta() | neutral.RefusalDelta():
            return {"type": "text", "text": ""}
        case neutral.ThinkingDelta() | neutral.ThinkingSigned():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case neutral.ThinkingRedacted(data=data):
            return {"type": "redacted_thinking", "data": data}
        case neutral.ToolCallOpened(id=id_, name=name):
            return {"type": "tool_use", "id": id_, "name": name, "input": {}}
        case neutral.ToolCallDelta():
            raise BadReplyError("The upstream's stream continued a tool call never begun.")
        case _:
            assert_never(event)


def _nothing_more(event: neutral.ToolCallDelta) -> bytes:
    """White space may trail a complete call; anything else has no place to go."""
    if event.arguments.strip():
        raise BadReplyError("The upstream's stream continued a tool call that was over.")
    return b""


def _event(name: bytes, value: dict[str, Any]) -> bytes:
    return sse.render(json.encode(value), name)
