"""Reading an upstream's stream: Anthropic's server-sent events to neutral events.

Follows https://platform.claude.com/docs/en/build-with-claude/streaming. Events and deltas of
unknown types are skipped, as the vendor's versioning policy asks.
"""

import msgspec

from meterway.kit import sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.errors import failed
from meterway.protocols.chat.anthropic_messages.reply import READ_BLOCKS, decode_stop
from meterway.protocols.chat.anthropic_messages.usage import Tally, told_service
from meterway.protocols.errors import BadReplyError

_event_decoder = msgspec.json.Decoder(wire.StreamEvent)
_DONE = b"[DONE]"


class _Kind(msgspec.Struct):
    type: str = ""


class _Open:
    """A content block that is being streamed; `part` is its ordinal once something was said."""

    __slots__ = ("block", "part", "wrote_input")

    def __init__(self, block: wire.Block) -> None:
        self.block = block
        self.part: int | None = None
        self.wrote_input = False


class AnthropicStreamDecoder:
    """Turns one stream's bytes into neutral events.

    Blocks get their part ordinal when they first say something, so empty blocks and those of the
    vendor's own tools leave no gap. Usage is merged over both events that carry it.
    """

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._tally = Tally()
        self._open: dict[int, _Open] = {}
        self._parts = 0
        self._calls = False
        self._ended = False
        self._over = False

    def feed(self, chunk: bytes) -> list[neutral.Event]:
        """Take the next bytes, cut anywhere. Raises `BadReplyError`."""
        events: list[neutral.Event] = []
        for block in self._splitter.feed(chunk):
            self._read(block, events)
        return events

    def end(self) -> list[neutral.Event]:
        """Hear that the bytes are over: a last event may lack its blank line.

        After a stop reason a missing `message_stop` is forgiven.
        """
        events: list[neutral.Event] = []
        if rest := self._splitter.rest():
            self._read(rest + b"\n\n", events)
        if self._ended and not self._over:
            self._close(events)
        return events

    def _read(self, block: bytes, events: list[neutral.Event]) -> None:
        if self._over:
            return
        parsed = sse.parse(block)
        if parsed is None or parsed.data == _DONE:
            return
        event = _decoded(parsed.data)
        match event.type or parsed.name.decode(errors="replace"):
            case "content_block_delta":
                self._delta(event, events)
            case "content_block_start":
                self._start_block(event, events)
            case "content_block_stop":
                self._stop_block(event, events)
            case "message_start":
                self._start(event, events)
            case "message_delta":
                self._message_delta(event, events)
            case "message_stop":
                self._stop(events)
            case "error":
                self._over = True
                events.append(failed(event.error))
            case _:
                pass  # ping, and kinds to come

    def _start(self, event: wire.StreamEvent, events: list[neutral.Event]) -> None:
        message = event.message or wire.Reply()
        self._tally.open(message.usage)
        events.append(
            neutral.Opened(
                id=message.id,
                model=message.model,
                usage=self._tally.usage(),
                service_tier=told_service(message.usage),
            )
        )

    def _start_block(self, event: wire.StreamEvent, events: list[neutral.Event]) -> None:
        block = event.content_block
        if block is None or block.type not in READ_BLOCKS:
            return
        opened = self._open[event.index] = _Open(block)
        if block.type == "tool_use":
            self._calls = True
            part = self._part(opened)
            events.append(
                neutral.ToolCallOpened(id=block.id or "", name=block.name or "", part=part)
            )
        elif block.type == "redacted_thinking":
            part = self._part(opened)
            events.append(neutral.ThinkingRedacted(data=block.data or "", part=part))
        elif block.text:
            events.append(neutral.TextDelta(text=block.text, part=self._part(opened)))
        elif block.thinking:
            events.append(neutral.ThinkingDelta(text=block.thinking, part=self._part(opened)))

    def _part(self, opened: _Open) -> int:
        if opened.part is None:
            opened.part = self._parts
            self._parts += 1
        return opened.part

    def _delta(self, event: wire.StreamEvent, events: list[neutral.Event]) -> None:
        opened, delta = self._open.get(event.index), event.delta
        if opened is None or delta is None:
            return
        if delta.text:
            events.append(neutral.TextDelta(text=delta.text, part=self._part(opened)))
        elif delta.partial_json:
            opened.wrote_input = True
            part = self._part(opened)
            events.append(neutral.ToolCallDelta(arguments=delta.partial_json, part=part))
        elif delta.thinking:
            events.append(neutral.ThinkingDelta(text=delta.thinking, part=self._part(opened)))
        elif delta.signature:
            part = self._part(opened)
            events.append(neutral.ThinkingSigned(signature=delta.signature, part=part))

    def _stop_block(self, event: wire.StreamEvent, events: list[neutral.Event]) -> None:
        opened = self._open.pop(event.index, None)
        if opened is None or opened.block.type != "tool_use" or opened.wrote_input:
            return
        # no delta wrote the input: it stood whole in the start, or the tool takes none
        given = wire.given(opened.block.input)
        arguments = bytes(opened.block.input).decode() if given else "{}"
        events.append(neutral.ToolCallDelta(arguments=arguments, part=self._part(opened)))

    def _message_delta(self, event: wire.StreamEvent, events: list[neutral.Event]) -> None:
        delta = event.delta
        if delta is not None and delta.stop_reason is not None and not self._ended:
            if explanation := delta.stop_details and delta.stop_details.explanation:
                events.append(neutral.RefusalDelta(text=explanation, part=self._parts))
                self._parts += 1
            self._end_choice(delta.stop_reason, delta.stop_sequence, events)
        if event.usage is not None:
            self._tally.add(event.usage)
            if (usage := self._tally.usage()) is not None:
                events.append(neutral.UsageReported(usage))

    def _end_choice(
        self, word: str | None, sequence: str | None, events: list[neutral.Event]
    ) -> None:
        self._ended = True
        stop = decode_stop(word, calls=self._calls)
        events.append(neutral.ChoiceEnded(stop=stop, stop_sequence=sequence))

    def _stop(self, events: list[neutral.Event]) -> None:
        if not self._ended:
            self._end_choice(None, None, events)
        self._close(events)

    def _close(self, events: list[neutral.Event]) -> None:
        self._over = True
        if self._tally.end() and (usage := self._tally.usage()) is not None:
            events.append(neutral.UsageReported(usage))
        events.append(neutral.Closed())


def _decoded(data: bytes) -> wire.StreamEvent:
    try:
        return _event_decoder.decode(data)
    except msgspec.ValidationError:
        return _unread(data)
    except wire.UNREADABLE as error:
        raise BadReplyError(
            f"The upstream's stream holds data that is not JSON: {error}."
        ) from None


_OURS = frozenset({
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "error",
})  # fmt: skip


class _Foreign(msgspec.Struct):
    """An event with a block of a kind nobody here reads."""

    type: str = ""
    content_block: _Kind | None = None


def _unread(data: bytes) -> wire.StreamEvent:
    """Skip an event whose fields have other types than ours, unless it is one we must read."""
    try:
        event = msgspec.json.decode(data, type=_Foreign)
    except msgspec.ValidationError as error:
        raise BadReplyError(f"The upstream sent a malformed event: {error}.") from None
    block = event.content_block
    if event.type in _OURS and (block is None or block.type in READ_BLOCKS):
        raise BadReplyError(f"The upstream sent a malformed {event.type} event.")
    return wire.StreamEvent(type="ping")
