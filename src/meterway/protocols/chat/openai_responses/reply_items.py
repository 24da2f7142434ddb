"""The items of an upstream's response: their events and last states, read as parts in order."""

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.items_out import wrapped
from meterway.protocols.chat.openai_responses.reasoning import BETWEEN, own_signature

_decode_item = msgspec.json.Decoder(wire.Item).decode
_decode_parts = msgspec.json.Decoder(list[wire.Part] | None).decode
_decode_text = msgspec.json.Decoder(str | None).decode
_CALLS = frozenset({"function_call", "custom_tool_call"})


class _Item:
    """What was told of one item; `parts` are the neutral ordinals by the place in its content."""

    __slots__ = ("done", "parts", "section", "wrote")

    def __init__(self) -> None:
        self.parts: dict[int, int] = {}
        self.section: tuple[str, int] | None = None  # of a thought: which of its texts is open
        self.wrote = False  # whether arguments or thoughts came
        self.done = False


class ItemReader:
    """Reads the items of one response. A part opens when it first says something.

    `maker` is the upstream that alone can read what it encrypted, empty where that is nobody's.
    """

    def __init__(self, maker: str = "") -> None:
        self._maker = maker
        self.called = False
        self.refused = False
        self._items: dict[int, _Item] = {}
        self._parts = 0

    def take(self, kind: str, event: wire.Event, events: list[neutral.Event]) -> None:
        """Add what an event tells; kinds without a meaning for others tell nothing."""
        place, delta = event.output_index, event.delta if isinstance(event.delta, str) else ""
        match kind:
            case "response.output_text.delta" if delta:
                part = self._part(place, event.content_index)
                logprobs = chat_logprobs(event.logprobs)
                events.append(neutral.TextDelta(text=delta, part=part, logprobs=logprobs))
            case "response.refusal.delta" if delta:
                self.refused = True
                part = self._part(place, event.content_index)
                events.append(neutral.RefusalDelta(text=delta, part=part))
            case "response.function_call_arguments.delta" if delta:
                self._argue(place, delta, events)
            case "response.reasoning_summary_text.delta" if delta:
                self._think(place, delta, ("summary", event.summary_index), events)
            case "response.reasoning_text.delta" if delta:
                self._think(place, delta, ("content", event.content_index), events)
            case "response.output_item.added":
                self._begin(place, _decode_item(event.item), events)
            case "response.output_item.done":
                self.finish(place, event.item, events)
            case _:
                pass

    def _item(self, place: int) -> _Item:
        return self._items.setdefault(place, _Item())

    def _part(self, place: int, within: int) -> int:
        parts = self._item(place).parts
        if within not in parts:
            parts[within] = self._parts
            self._parts += 1
        return parts[within]

    def _think(
        self, place: int, text: str, section: tuple[str, int], events: list[neutral.Event]
    ) -> None:
        item = self._item(place)
        part = self._part(place, 0)
        if item.section not in {None, section}:
            text = BETWEEN + text
        item.section, item.wrote = section, True
        events.append(neutral.ThinkingDelta(text=text, part=part))

    def _argue(self, place: int, arguments: str, events: list[neutral.Event]) -> None:
        item = self._item(place)
        if 0 in item.parts:  # else it was never begun, and is told when it is done
            item.wrote = True
            events.append(neutral.ToolCallDelta(arguments=arguments, part=item.parts[0]))

    def _begin(self, place: int, item: wire.Item, events: list[neutral.Event]) -> None:
        if item.type in _CALLS and item.name:
            self._call(place, item, events)

    def _call(self, place: int, item: wire.Item, events: list[neutral.Event]) -> int:
        if 0 in self._item(place).parts:
            return self._items[place].parts[0]
        self.called = True
        part = self._part(place, 0)
        id_ = item.call_id or item.id or f"call_{place}"
        events.append(neutral.ToolCallOpened(id=id_, name=item.name or "", part=part))
        return part

    def finish(self, place: int, raw: msgspec.Raw, events: list[neutral.Event]) -> None:
        """Add what an item's last state tells beyond what was told of it; once."""
        known = self._item(place)
        if known.done:
            return
        known.done = True
        item = _decode_item(raw)
        match item.type:
            case "message":
                self._finish_message(place, item, events)
            case "reasoning":
                self._finish_thought(place, item, events)
            case "function_call" | "custom_tool_call":
                self._finish_call(place, item, events)
            case _:
                pass

    def _finish_message(self, place: int, item: wire.Item, events: list[neutral.Event]) -> None:
        told = self._items[place].parts
        for within, part in enumerate(_decode_parts(item.content) or ()):
            if within in told:
                continue
            if part.type == "refusal" and part.refusal:
                self.refused = True
                ordinal = self._part(place, within)
                events.append(neutral.RefusalDelta(text=part.refusal, part=ordinal))
            elif part.type in {"output_text", "text"} and (text := _decode_text(part.text)):
                ordinal = self._part(place, within)
                logprobs = chat_logprobs(part.logprobs)
                events.append(neutral.TextDelta(text=text, part=ordinal, logprobs=logprobs))

    def _finish_thought(self, place: int, item: wire.Item, events: list[neutral.Event]) -> None:
        known = self._items[place]
        if not known.wrote:
            for name, raw in (("summary", item.summary), ("content", item.content)):
                for within, part in enumerate(_decode_parts(raw) or ()):
                    if text := _decode_text(part.text):
                        self._think(place, text, (name, within), events)
        if not item.encrypted_content:
            return
        signature = own_signature(item.encrypted_content, item.id or "", self._maker)
        part_ = self._part(place, 0)
        if known.wrote:
            events.append(neutral.ThinkingSigned(signature=signature, part=part_))
        else:
            events.append(neutral.ThinkingRedacted(data=signature, part=part_))

    def _finish_call(self, place: int, item: wire.Item, events: list[neutral.Event]) -> None:
        part, known = self._call(place, item, events), self._items[place]
        if item.type == "custom_tool_call":
            arguments = wrapped(_text(item.input))
        else:
            arguments = _text(item.arguments)
        if arguments and not known.wrote:
            events.append(neutral.ToolCallDelta(arguments=arguments, part=part))


def _text(raw: msgspec.Raw) -> str:
    """Return a string; some servers send the object it should be the text of."""
    if not wire.given(raw):
        return ""
    return _decode_text(raw) or "" if wire.is_string(raw) else bytes(raw).decode()


def chat_logprobs(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return a text's logprobs as the neutral form has them; None where there are none."""
    if not wire.given(raw) or bytes(raw) == b"[]":
        return None
    return json.raw({"content": raw, "refusal": None})
