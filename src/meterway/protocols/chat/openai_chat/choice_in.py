"""One choice of an upstream's stream: its deltas, read as parts that open in order."""

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.calls_in import CallReader
from meterway.protocols.chat.openai_chat.reasoning import (
    ENCRYPTED,
    SUMMARY,
    TEXT,
    details_of,
    text_of,
)
from meterway.protocols.chat.openai_chat.reply_in import thinking_text
from meterway.protocols.chat.openai_chat.stops import decode_stop

_decode_part = msgspec.json.Decoder(wire.Part).decode


class ChoiceReader:
    """Knows which part of the choice is open; a delta of another kind opens the next one."""

    def __init__(self, index: int, reply_id: str) -> None:
        self.ended = False
        self._index = index
        self._parts = 0
        self._open: str | None = None  # the kind of the part that text may still be added to
        self._detail: int | None = None  # the index of the open reasoning detail
        self._calls = CallReader(index, reply_id, self._next_part)
        self._refused = False

    def take(self, choice: wire.Choice, events: list[neutral.Event]) -> None:
        """Add the events of one chunk's choice; nothing follows its end."""
        if self.ended:
            return
        delta = choice.delta or choice.message
        if delta is not None:
            text = self._more_text(delta)
            if text is None or wire.given(choice.logprobs):
                self._take_delta(delta, choice.logprobs, events)
            else:
                part = self._parts - 1
                events.append(neutral.TextDelta(text=text, choice=self._index, part=part))
        if choice.finish_reason:
            self.end(events, choice.finish_reason, choice.stop_reason)

    def end(
        self,
        events: list[neutral.Event],
        reason: str | None = None,
        matched: msgspec.Raw = wire.NULL,
    ) -> None:
        """Add the events of the choice's end, once."""
        if self.ended:
            return
        self.ended = True
        self._calls.flush(events)
        stop, sequence = decode_stop(
            reason, matched, has_calls=self._calls.seen, has_refusal=self._refused
        )
        events.append(neutral.ChoiceEnded(stop=stop, stop_sequence=sequence, choice=self._index))

    def _more_text(self, delta: wire.Content) -> str | None:
        """Return what a delta adds to the open text, None where it does or says anything else."""
        if (
            self._open != "text"
            or delta.tool_calls is not None
            or delta.refusal
            or delta.reasoning_content
            or delta.reasoning is not wire.NULL
            or delta.reasoning_details is not wire.NULL
            or delta.function_call is not None
        ):
            return None
        return delta.content if isinstance(delta.content, str) and delta.content else None

    def _take_delta(
        self, delta: wire.Content, logprobs: msgspec.Raw, events: list[neutral.Event]
    ) -> None:
        details = details_of(delta.reasoning_details)
        for detail in details:
            self._take_detail(detail, events)
        if not any(detail.text or detail.summary for detail in details):
            self._think(text_of(delta.reasoning_content, delta.reasoning), events)
        told = logprobs if wire.given(logprobs) else None
        if isinstance(delta.content, str):
            self._say(delta.content, told, events)
            told = told if not delta.content else None
        for raw in delta.content if isinstance(delta.content, list) else ():
            part = _decode_part(raw)
            if part.type == "thinking":
                self._think(thinking_text(part.thinking), events)
            else:
                self._say(part.text or "", told, events)
                told = None
        if delta.refusal:
            self._refuse(delta.refusal, events)
        if told is not None:
            events.append(neutral.TextDelta(text="", choice=self._index, logprobs=told))
        self._calls.take(delta, events)

    def _say(self, text: str, logprobs: msgspec.Raw | None, events: list[neutral.Event]) -> None:
        if text:
            part = self._part("text", events)
            events.append(
                neutral.TextDelta(text=text, choice=self._index, part=part, logprobs=logprobs)
            )

    def _refuse(self, text: str, events: list[neutral.Event]) -> None:
        self._refused = True
        part = self._part("refusal", events)
        events.append(neutral.RefusalDelta(text=text, choice=self._index, part=part))

    def _think(self, text: str, events: list[neutral.Event]) -> None:
        if text:
            part = self._part("thinking", events)
            events.append(neutral.ThinkingDelta(text=text, choice=self._index, part=part))

    def _take_detail(self, detail: wire.ReasoningDetail, events: list[neutral.Event]) -> None:
        if detail.type == ENCRYPTED:
            part = self._next_part(events)
            data = detail.data or ""
            events.append(neutral.ThinkingRedacted(data=data, choice=self._index, part=part))
            return
        if detail.type not in {TEXT, SUMMARY}:
            return
        if detail.index != self._detail and self._open == "thinking":
            self._open = None
        self._detail = detail.index
        self._think(detail.text or detail.summary or "", events)
        if detail.signature is not None:
            part = self._part("thinking", events)
            events.append(
                neutral.ThinkingSigned(signature=detail.signature, choice=self._index, part=part)
            )
            self._open = None

    def _part(self, kind: str, events: list[neutral.Event]) -> int:
        """Return the ordinal of the open part of `kind`, opening one where another is open."""
        if self._open != kind:
            self._next_part(events)
            self._open = kind
        return self._parts - 1

    def _next_part(self, events: list[neutral.Event]) -> int:
        self._open = None
        self._calls.flush(events)
        self._parts += 1
        return self._parts - 1
