"""A chat completions stream from an upstream, read as neutral events.

Follows https://platform.openai.com/docs/api-reference/chat-streaming, and tolerates what other
servers make of it: usage on a chunk with content or inside a choice, chunks without id, tool
calls without index or id, no `[DONE]`, no blank line at the end, or a whole reply instead.
"""

import msgspec

from meterway.kit import sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import events_of
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.choice_in import ChoiceReader
from meterway.protocols.chat.openai_chat.reply_in import UNREADABLE, decode_reply
from meterway.protocols.chat.openai_chat.usage import decode_usage
from meterway.protocols.chat.openai_errors import inner_error
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

DONE = b"[DONE]"
_decode = msgspec.json.Decoder(wire.Reply).decode


class ChatStreamDecoder:
    """Implements `StreamDecoder` for this dialect."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._opened = False
        self._over = False
        self._reply_id = ""
        self._usage: Usage | None = None
        self._choices: dict[int, ChoiceReader] = {}

    def feed(self, chunk: bytes) -> list[neutral.Event]:
        """Take the next bytes and return the events completed by them."""
        events: list[neutral.Event] = []
        for block in self._splitter.feed(chunk):
            self._take_block(block, events)
        return events

    def end(self) -> list[neutral.Event]:
        """Hear that the bytes are over; a finished stream without `[DONE]` is closed properly."""
        events: list[neutral.Event] = []
        tail = self._splitter.rest().strip()
        if tail.startswith(b"{") and not self._opened:
            return self._whole(tail)
        if tail:
            self._take_block(tail, events)
        if self._choices and all(choice.ended for choice in self._choices.values()):
            self._close(events)
        return events

    def _take_block(self, block: bytes, events: list[neutral.Event]) -> None:
        event = sse.parse(block)
        if event is None or self._over:
            return
        data = event.data.strip()
        if data == DONE:
            self._close(events)
        elif data:
            self._take(data, events, is_error=event.name == b"error")

    def _take(self, data: bytes, events: list[neutral.Event], *, is_error: bool) -> None:
        try:
            chunk = _decode(data)
            if wire.given(chunk.error) or is_error:
                raw = chunk.error if wire.given(chunk.error) else msgspec.Raw(data)
                self._fail(inner_error(raw), events)
                return
            self._take_chunk(chunk, events)
        except UNREADABLE as error:
            if is_error:
                self._fail(inner_error(msgspec.Raw(data)), events)
                return
            message = f"The upstream's stream holds data that is no chat chunk: {error}."
            raise BadReplyError(message) from None

    def _take_chunk(self, chunk: wire.Reply, events: list[neutral.Event]) -> None:
        choices = chunk.choices or []
        if not self._opened:
            if not (chunk.id or choices or chunk.usage):
                return  # Azure begins with a chunk that has nothing but its filter's results
            self._open(chunk, events)
        told: wire.Usage | None = None  # in a choice, as Moonshot's last chunk does
        for choice in choices:
            if wire.given(choice.error):
                self._fail(inner_error(choice.error), events)
                return
            index = choice.index or 0
            reader = self._choices.get(index)
            if reader is None:
                reader = self._choices[index] = ChoiceReader(index, self._reply_id)
            reader.take(choice, events)
            told = told or choice.usage
        groq = chunk.x_groq.usage if chunk.x_groq else None
        if (told := chunk.usage or groq or told) is not None:
            self._report(told, events)

    def _open(self, chunk: wire.Reply, events: list[neutral.Event]) -> None:
        self._opened = True
        self._reply_id = chunk.id or ""
        events.append(
            neutral.Opened(
                id=self._reply_id,
                model=chunk.model or "",
                created=int(chunk.created) if chunk.created is not None else None,
                service_tier=chunk.service_tier,
                system_fingerprint=chunk.system_fingerprint,
            )
        )

    def _report(self, told: wire.Usage, events: list[neutral.Event]) -> None:
        usage = decode_usage(told)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(neutral.UsageReported(usage))

    def _close(self, events: list[neutral.Event]) -> None:
        if self._over:
            return
        if not self._opened:
            raise BadReplyError("The upstream's stream ended before it began.")
        self._over = True
        for choice in self._choices.values():
            choice.end(events)
        events.append(neutral.Closed())

    def _fail(self, failure: neutral.Failed, events: list[neutral.Event]) -> None:
        self._over = True
        events.append(failure)

    def _whole(self, body: bytes) -> list[neutral.Event]:
        self._over = True
        reply = decode_reply(body)
        return [reply] if isinstance(reply, neutral.Failed) else events_of(reply)
