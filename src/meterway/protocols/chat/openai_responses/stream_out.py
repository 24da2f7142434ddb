"""Neutral events, written as a Responses stream for a client; a whole reply is a stream of one.

Follows https://platform.openai.com/docs/api-reference/responses-streaming. Items other than calls
are done when the next begins; calls may grow side by side and are done when the model stopped.
The stream ends with its last event: the API sends no `[DONE]`.
"""

from typing import Any, NamedTuple, TypeAlias, assert_never

import msgspec

from meterway.kit import json, sse
from meterway.kit.clock import Clock
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import events_of
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.openai_responses.items_out import (
    CallItem,
    Item,
    MessageItem,
    ReasoningItem,
    Told,
    logprobs_of,
)
from meterway.protocols.chat.openai_responses.reasoning import encrypted_of, encrypted_of_call
from meterway.protocols.chat.openai_responses.response import Ending, as_told, describe
from meterway.protocols.chat.wording import Wording
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

Wire: TypeAlias = dict[str, Any]
_TEXT_DELTA = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":%d,%b,"delta":%b,"logprobs":[]}'
    b"\n\n"
)
_ENCRYPTED = b'"encrypted_content"'
_encode = msgspec.json.Encoder().encode
_ChoiceEvent: TypeAlias = (
    neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
    | neutral.ToolCallOpened
    | neutral.ToolCallDelta
    | neutral.ChoiceEnded
)


class _Speaking(NamedTuple):
    """The text that is open: its neutral part, where it stands, and what was said of it."""

    part: int
    place: bytes
    pieces: list[str]


class ResponsesStreamEncoder:
    """Implements `StreamEncoder` for one call; the end leaves the response in `frame`.

    Only the first choice is told: a response has no others.
    """

    def __init__(self, frame: Frame, clock: Clock) -> None:
        self._frame = frame
        self._clock = clock
        self._ending = Ending()
        self._model = frame.model
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._items: list[Item] = []
        self._done: dict[int, str] = {}  # the status of items that are done, by their place
        self._by_part: dict[int, int] = {}
        self._speaking: _Speaking | None = None
        self._refused = False
        self._sequence = 0

    def encode(self, event: neutral.Event) -> bytes:
        """Return the bytes that tell the client of `event`."""
        match event:
            case neutral.TextDelta():
                return self._more_text(event)
            case neutral.Opened():
                return self._open(event)
            case neutral.UsageReported(usage=usage):
                self._usage = usage
                return b""
            case neutral.Closed():
                return self._close()
            case neutral.Failed():
                return self.fail(as_told(event))
            case _:
                return self._grow(event) if event.choice == 0 else b""

    def fail(self, failure: neutral.Failed) -> bytes:
        """Tell that the response failed; what was done of it stays in it."""
        self._ending.fail(failure)
        return self._end("response.failed")

    def _open(self, event: neutral.Opened) -> bytes:
        self._model = event.model or self._model
        self._tier, self._usage = event.service_tier, event.usage
        return self._begin()

    def _begin(self) -> bytes:
        response = self._response([], usage=None)
        return self._event("response.created", {"response": response}) + self._event(
            "response.in_progress", {"response": response}
        )

    def _more_text(self, event: neutral.TextDelta) -> bytes:
        """Tell more of the text that is open, as most events do, or whatever else it is."""
        open_ = self._speaking
        if event.choice:
            return b""
        if open_ is None or open_.part != event.part or event.logprobs or not event.text:
            return self._speak(event)
        open_.pieces.append(event.text)
        number, self._sequence = self._sequence, self._sequence + 1
        return _TEXT_DELTA % (number, open_.place, _encode(event.text))

    def _grow(self, event: _ChoiceEvent) -> bytes:
        match event:
            case neutral.RefusalDelta():
                return self._speak(event)
            case neutral.ToolCallDelta(arguments=arguments):
                return self._arguments(event.part, arguments)
            case neutral.ToolCallOpened():
                return self._call(event)
            case neutral.ChoiceEnded():
                return self._stop(event)
            case neutral.ThinkingDelta() | neutral.ThinkingSigned() | neutral.ThinkingRedacted():
                return self._think(event)
            case _:
                assert_never(event)

    def _speak(self, event: neutral.TextDelta | neutral.RefusalDelta) -> bytes:
        self._speaking = None
        if isinstance(event, neutral.RefusalDelta):
            self._refused = True
            before, place, item = self._message(event.part)
            return before + self._tell(place, item.refuse(event.part, event.text))
        logprobs = logprobs_of(event.logprobs) if self._frame.wants_logprobs else None
        if not event.text and not (logprobs and event.part in self._by_part):
            return b""
        before, place, item = self._message(event.part)
        told = before + self._tell(place, item.say(event.part, event.text, logprobs))
        where = b'"item_id":"%b","output_index":%d,"content_index":%d' % (
            item.id.encode(),
            place,
            item.last,
        )
        self._speaking = _Speaking(event.part, where, item.pieces)
        return told

    def _think(
        self, event: neutral.ThinkingDelta | neutral.ThinkingSigned | neutral.ThinkingRedacted
    ) -> bytes:
        before, place, thought = self._reasoning(event.part)
        match event:
            case neutral.ThinkingDelta(text=text):
                return before + (self._tell(place, thought.think(text)) if text else b"")
            case neutral.ThinkingSigned(signature=signature):
                thought.encrypted = encrypted_of(signature, redacted=False)
            case neutral.ThinkingRedacted(data=data):
                thought.encrypted = encrypted_of(data, redacted=True)
            case _:
                assert_never(event)
        return before

    def _message(self, part: int) -> tuple[bytes, int, MessageItem]:
        """Return the message that is open, or a new one; its parts follow each other."""
        place = self._by_part.get(part, len(self._items) - 1)
        item = self._items[place] if self._items else None
        if isinstance(item, MessageItem) and place not in self._done:
            self._by_part[part] = place
            return b"", place, item
        item = MessageItem()
        return self._add(item, part), len(self._items) - 1, item

    def _reasoning(self, part: int) -> tuple[bytes, int, ReasoningItem]:
        place = self._by_part.get(part)
        if place is not None and isinstance(item := self._items[place], ReasoningItem):
            return b"", place, item
        item = ReasoningItem()
        return self._add(item, part), len(self._items) - 1, item

    def _call(self, event: neutral.ToolCallOpened) -> bytes:
        before = b""
        if event.signature is not None:
            thought = ReasoningItem()
            thought.encrypted = encrypted_of_call(event.signature, event.id)
            before = self._add(thought, None)
        return before + self._add(
            CallItem(event.id, self._frame.names.declared(event.name)), event.part
        )

    def _arguments(self, part: int, arguments: str) -> bytes:
        place = self._by_part.get(part)
        item = None if place is None else self._items[place]
        if place is None or not isinstance(item, CallItem):
            raise BadReplyError("The upstream's stream continued a tool call never begun.")
        return self._tell(place, item.add(arguments)) if arguments else b""

    def _add(self, item: Item, part: int | None) -> bytes:
        before = b"".join(
            [
                self._finish(place, "completed")
                for place, other in enumerate(self._items)
                if place not in self._done and not isinstance(other, CallItem)
            ]
        )
        self._items.append(item)
        place = len(self._items) - 1
        if part is not None:
            self._by_part[part] = place
        return before + self._tell_item("added", place, "in_progress")

    def _finish(self, place: int, status: str) -> bytes:
        self._speaking = None
        item = self._items[place]
        closing = self._tell(place, item.close())
        self._done[place] = status
        return closing + self._tell_item("done", place, status)

    def _stop(self, event: neutral.ChoiceEnded) -> bytes:
        self._ending.stop(event.stop, refused=self._refused)
        left = [place for place in range(len(self._items)) if place not in self._done]
        return b"".join(
            [
                self._finish(place, self._ending.item_status if place == left[-1] else "completed")
                for place in left
            ]
        )

    def _close(self) -> bytes:
        before = b""
        if len(self._done) < len(self._items):  # the upstream never said why it stopped
            before = self._stop(neutral.ChoiceEnded(stop=neutral.StopReason.END))
        self._ending.close(int(self._clock.now()))
        return before + self._end(f"response.{self._ending.status}")

    def _end(self, kind: str) -> bytes:
        items = [
            item.whole(self._done.get(place, "incomplete"))
            for place, item in enumerate(self._items)
        ]
        frame = self._frame
        frame.output = output = json.encode(items)
        shown: msgspec.Raw | list[Wire] = msgspec.Raw(output)
        if _ENCRYPTED in output and not frame.wants_encrypted:
            shown = [self._shown(item) for item in items]
        frame.final = json.encode(self._response(shown, usage=self._usage))
        frame.status = self._ending.status
        return self._event(kind, {"response": msgspec.Raw(frame.final)})

    def _response(self, output: msgspec.Raw | list[Wire], usage: Usage | None) -> Wire:
        return describe(
            self._frame,
            self._ending,
            model=self._model,
            output=output,
            usage=usage,
            service_tier=self._tier,
        )

    def _shown(self, item: Wire) -> Wire:
        if self._frame.wants_encrypted or "encrypted_content" not in item:
            return item
        return {key: value for key, value in item.items() if key != "encrypted_content"}

    def _tell_item(self, what: str, place: int, status: str) -> bytes:
        item = self._shown(self._items[place].whole(status))
        return self._event(f"response.output_item.{what}", {"output_index": place, "item": item})

    def _tell(self, place: int, told: Told) -> bytes:
        id_ = self._items[place].id
        return b"".join(
            [
                self._event(kind, {"item_id": id_, "output_index": place, **fields})
                for kind, fields in told
            ]
        )

    def _event(self, kind: str, fields: Wire) -> bytes:
        data = json.encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return sse.render(data, kind.encode())


class WholeEncoder(ResponsesStreamEncoder):
    """Leaves the same response in `frame`, and tells nothing on the way: for a whole reply."""

    def take(self, reply: neutral.Reply) -> None:
        """Leave a reply in the frame; one text alone, as most are, without reading it."""
        text = _only_text(reply)
        if text is None:
            for event in events_of(reply):
                self.encode(event)
            return
        self._model = reply.model or self._model
        self._tier, self._usage = reply.service_tier, reply.usage
        self._ending.stop(reply.choices[0].stop, refused=False)
        self._items.append(MessageItem.of(text))
        self._done[0] = self._ending.item_status
        self._close()

    def _begin(self) -> bytes:
        return b""

    def _tell_item(self, what: str, place: int, status: str) -> bytes:
        del what, place, status
        return b""

    def _tell(self, place: int, told: Told) -> bytes:
        del place, told
        return b""

    def _event(self, kind: str, fields: Wire) -> bytes:
        del kind, fields
        return b""


def _only_text(reply: neutral.Reply) -> Wording | None:
    """Return the text that is all a reply says, None where it says more, or nothing."""
    if len(reply.choices) != 1 or len(reply.choices[0].parts) != 1:
        return None
    choice = reply.choices[0]
    part = choice.parts[0]
    if choice.index or choice.logprobs is not None or not isinstance(part, neutral.Text):
        return None
    return part.text or None
