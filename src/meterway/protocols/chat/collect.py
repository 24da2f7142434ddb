"""A whole reply is a stream of one: gathering a stream's events, and telling a reply as events."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.wording import words_of
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage


def collect(events: Iterable[neutral.Event]) -> neutral.Reply:
    """Gather a whole stream into the reply it tells; `collect(events_of(reply)) == reply`.

    Parts stand in the order of their ordinals, choices in that of their indexes. Raises
    `BadReplyError` where the stream failed, never opened, or never closed.
    """
    gathered = Gathered()
    for event in events:
        gathered.take(event)
    return gathered.reply()


def events_of(reply: neutral.Reply) -> list[neutral.Event]:
    """Tell a whole reply as the events of a stream, one delta per part.

    Raises `BadReplyError` where the reply holds a part that no stream event can say (images,
    documents, audio, foreign parts).
    """
    events: list[neutral.Event] = [
        neutral.Opened(
            id=reply.id,
            model=reply.model,
            created=reply.created,
            service_tier=reply.service_tier,
            system_fingerprint=reply.system_fingerprint,
        )
    ]
    for choice in reply.choices:
        events += _choice_events(choice)
    if reply.usage is not None:
        events.append(neutral.UsageReported(reply.usage))
    events.append(neutral.Closed())
    return events


def merge_logprobs(earlier: msgspec.Raw | None, later: msgspec.Raw | None) -> msgspec.Raw | None:
    """Join two of OpenAI's logprobs objects: lists are concatenated, null gives way."""
    if earlier is None or later is None:
        return later if earlier is None else earlier
    merged = msgspec.json.decode(earlier, type=json.RawObject)
    for key, value in msgspec.json.decode(later, type=json.RawObject).items():
        merged[key] = _joined(merged[key], value) if key in merged else value
    return json.raw(merged)


def _joined(before: msgspec.Raw, after: msgspec.Raw) -> msgspec.Raw:
    if bytes(after) == b"null":
        return before
    if bytes(before).startswith(b"[") and bytes(after).startswith(b"["):
        first = msgspec.json.decode(before, type=list[msgspec.Raw])
        return json.raw(first + msgspec.json.decode(after, type=list[msgspec.Raw]))
    return after


def _choice_events(choice: neutral.Choice) -> list[neutral.Event]:
    events: list[neutral.Event] = []
    logprobs = choice.logprobs
    if logprobs is not None and not any(_is_visible(part) for part in choice.parts):
        events.append(neutral.TextDelta(text="", choice=choice.index, logprobs=logprobs))
        logprobs = None
    for ordinal, part in enumerate(choice.parts):
        shown = logprobs if _is_visible(part) else None
        events += _part_events(part, choice.index, ordinal, shown)
        logprobs = None if shown is not None else logprobs
    events.append(
        neutral.ChoiceEnded(
            stop=choice.stop, stop_sequence=choice.stop_sequence, choice=choice.index
        )
    )
    return events


def _is_visible(part: neutral.AnyPart) -> bool:
    return isinstance(part, neutral.Text) and bool(part.text)


def _part_events(
    part: neutral.AssistantPart, choice: int, ordinal: int, logprobs: msgspec.Raw | None
) -> list[neutral.Event]:
    match part:
        case neutral.Text(text=text):
            said = words_of(text)
            return [neutral.TextDelta(text=said, choice=choice, part=ordinal, logprobs=logprobs)]
        case neutral.Refusal(text=text):
            return [neutral.RefusalDelta(text=text, choice=choice, part=ordinal)]
        case neutral.Thinking():
            return _thinking_events(part, choice, ordinal)
        case neutral.RedactedThinking(data=data):
            return [neutral.ThinkingRedacted(data=data, choice=choice, part=ordinal)]
        case neutral.ToolCall():
            return _tool_events(part, choice, ordinal)
        case neutral.Image() | neutral.Document() | neutral.Audio() | neutral.Foreign():
            kind = type(part).__name__.lower()
            message = f"The upstream's reply holds a part ({kind}) that no stream can carry."
            raise BadReplyError(message)
        case _:
            assert_never(part)


def _thinking_events(part: neutral.Thinking, choice: int, ordinal: int) -> list[neutral.Event]:
    delta = neutral.ThinkingDelta(text=part.text, choice=choice, part=ordinal)
    if part.signature is None:
        return [delta]
    signed = neutral.ThinkingSigned(signature=part.signature, choice=choice, part=ordinal)
    return [delta, signed]


def _tool_events(part: neutral.ToolCall, choice: int, ordinal: int) -> list[neutral.Event]:
    opened = neutral.ToolCallOpened(
        id=part.id, name=part.name, signature=part.signature, choice=choice, part=ordinal
    )
    if not part.arguments:
        return [opened]
    delta = neutral.ToolCallDelta(arguments=part.arguments, choice=choice, part=ordinal)
    return [opened, delta]


class Gathered:
    """What a stream told so far: `take` its events one by one, and ask for the `reply` at its end.

    Both raise `BadReplyError`, as `collect` does.
    """

    def __init__(self) -> None:
        self._opened: neutral.Opened | None = None
        self._choices: dict[int, _Told] = {}
        self._usage: Usage | None = None
        self._closed = False

    def take(self, event: neutral.Event) -> None:
        """Take the next event."""
        match event:
            case neutral.Opened():
                self._opened = event
                self._usage = event.usage
            case neutral.UsageReported(usage=usage):
                self._usage = usage
            case neutral.Closed():
                self._closed = True
            case neutral.Failed(message=message, kind=kind):
                raise BadReplyError(f"The upstream's stream failed ({kind}): {message}")
            case _:
                self._choices.setdefault(event.choice, _Told()).take(event)

    def reply(self) -> neutral.Reply:
        """Return the reply that the whole stream told."""
        if self._opened is None or not self._closed:
            raise BadReplyError("The upstream's stream was cut before its end.")
        opened = self._opened
        return neutral.Reply(
            id=opened.id,
            model=opened.model,
            choices=tuple(self._choices[index].choice(index) for index in sorted(self._choices)),
            usage=self._usage,
            created=opened.created,
            service_tier=opened.service_tier,
            system_fingerprint=opened.system_fingerprint,
        )


class _Told:
    """What a stream told so far about one choice."""

    def __init__(self) -> None:
        self._parts: dict[int, neutral.AssistantPart] = {}
        self._pieces: dict[int, list[str]] = {}
        self._ended = neutral.ChoiceEnded(stop=neutral.StopReason.END)
        self._logprobs: msgspec.Raw | None = None

    def take(self, event: "_ChoiceEvent") -> None:
        match event:
            case neutral.TextDelta():
                self._take_text(event)
            case neutral.RefusalDelta(text=text, part=part):
                self._add(part, neutral.Refusal(text=""), text)
            case neutral.ThinkingDelta(text=text, part=part):
                self._add(part, neutral.Thinking(text=""), text)
            case neutral.ThinkingSigned(signature=signature, part=part):
                self._parts[part] = neutral.Thinking(text="", signature=signature)
            case neutral.ThinkingRedacted(data=data, part=part):
                self._parts[part] = neutral.RedactedThinking(data=data)
            case neutral.ToolCallOpened():
                self._open_call(event)
            case neutral.ToolCallDelta(arguments=arguments, part=part):
                self._take_arguments(part, arguments)
            case neutral.ChoiceEnded():
                self._ended = event
            case _:
                assert_never(event)

    def _take_text(self, event: neutral.TextDelta) -> None:
        self._logprobs = merge_logprobs(self._logprobs, event.logprobs)
        if event.text or event.logprobs is None:  # without text it carries logprobs alone
            self._add(event.part, neutral.Text(text=""), event.text)

    def _open_call(self, event: neutral.ToolCallOpened) -> None:
        call = neutral.ToolCall(
            id=event.id, name=event.name, arguments="", signature=event.signature
        )
        self._add(event.part, call, "")

    def _take_arguments(self, part: int, arguments: str) -> None:
        if part not in self._parts:
            raise BadReplyError("The upstream's stream continued a tool call never begun.")
        self._pieces[part].append(arguments)

    def _add(self, part: int, empty: neutral.AssistantPart, piece: str) -> None:
        self._parts.setdefault(part, empty)
        self._pieces.setdefault(part, []).append(piece)

    def choice(self, index: int) -> neutral.Choice:
        return neutral.Choice(
            index=index,
            parts=tuple(self._whole(part) for part in sorted(self._parts)),
            stop=self._ended.stop,
            stop_sequence=self._ended.stop_sequence,
            logprobs=self._logprobs,
        )

    def _whole(self, ordinal: int) -> neutral.AssistantPart:
        part, told = self._parts[ordinal], "".join(self._pieces.get(ordinal, ()))
        if isinstance(part, neutral.ToolCall):
            return msgspec.structs.replace(part, arguments=told)
        if isinstance(part, neutral.Text | neutral.Refusal | neutral.Thinking):
            return msgspec.structs.replace(part, text=told)
        return part


_ChoiceEvent = (
    neutral.TextDelta
    | neutral.RefusalDelta
    | neutral.ThinkingDelta
    | neutral.ThinkingSigned
    | neutral.ThinkingRedacted
    | neutral.ToolCallOpened
    | neutral.ToolCallDelta
    | neutral.ChoiceEnded
)
