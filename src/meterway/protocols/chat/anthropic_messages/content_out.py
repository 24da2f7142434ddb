"""Writing messages for an Anthropic upstream: neutral turns to alternating wire turns.

The rules the API enforces (https://platform.claude.com/docs/en/api/messages), and how they are met:
consecutive turns of one role are merged; tool results come first in their user turn; texts that
are empty are left out, as the API refuses them. A system turn between others follows the run of
user turns it stands in, where the model knows system turns; else it becomes a text of the user
turn, inside `<system>` tags. Thinking that is unsigned, or another vendor's, cannot be replayed
and is left out, named in `dropped`. A refusal is written as text. Tool call ids are made of
`[a-zA-Z0-9_-]`.
"""

import base64
import re
from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_family import refused
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.faults import unsupported
from meterway.protocols.chat.envelopes import is_sealed
from meterway.protocols.chat.wording import Wording, words_of
from meterway.protocols.dialects import Family

Wire = dict[str, Any]
_ID_BAD = re.compile(r"[^a-zA-Z0-9_-]")
_USER, _ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
_TEXT_TYPES = ("text/", "application/json")
_EMPTY_OBJECT = msgspec.Raw(b"{}")
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode_messages(
    messages: Iterable[neutral.Message], *, system_turns: bool, dropped: list[str]
) -> list[Wire]:
    """Write `messages`; paths of what was left out are added to `dropped`.

    Raises `UnsupportedContentError` for a part the API has no block for, `InvalidRequestError`
    for tool arguments that are no JSON object.
    """
    turns = _Turns(system_turns=system_turns, dropped=dropped)
    for message in messages:
        turns.add(message)
    return turns.wire()


def encode_texts(texts: Iterable[neutral.Text]) -> list[Wire]:
    """Write text blocks, leaving out empty ones."""
    return [_marked(_text(text.text), text) for text in texts if text.text]


def _text(text: Wording) -> Wire:
    return {"type": "text", "text": text}


def _marked(block: Wire, part: neutral.Part) -> Wire:
    if part.cache is not None:
        block["cache_control"] = cache_control(part.cache)
    return block


def cache_control(mark: neutral.CacheMark) -> Wire:
    """Write a cache breakpoint; 5 minutes is the default and left unsaid."""
    return {"type": "ephemeral"} if mark.ttl == "5m" else {"type": "ephemeral", "ttl": mark.ttl}


class _Turn:
    """One wire turn in the making; a user turn may be followed by a system turn."""

    def __init__(self, role: neutral.Role) -> None:
        self.role = role
        self.results: list[Wire] = []
        self.blocks: list[Wire] = []
        self.system: list[Wire] = []

    def wire(self) -> list[Wire]:
        blocks = self.results + self.blocks
        if not blocks:
            blocks, self.system = [_in_tags(text) for text in self.system], []
        turns = [{"role": self.role.value, "content": blocks}] if blocks else []
        if self.system:
            turns.append({"role": "system", "content": self.system})
        return turns


def _in_tags(block: Wire) -> Wire:
    return {**block, "text": f"<system>\n{words_of(block['text'])}\n</system>"}


class _Turns:
    """The turns written so far, merged as they come."""

    def __init__(self, *, system_turns: bool, dropped: list[str]) -> None:
        self._system_turns = system_turns
        self._dropped = dropped
        self._turns: list[_Turn] = []
        self._ids = _CallIds()

    def add(self, message: neutral.Message) -> None:
        if message.name is not None:
            self._dropped.append(f"{message.path}.name")
        if message.role is _USER:
            self._add_user(message)
        elif message.role is _ASSISTANT:
            turn = self._turn(_ASSISTANT)
            for part in message.parts:
                turn.blocks += self._assistant_blocks(part)
        else:
            self._add_system(message)

    def _turn(self, role: neutral.Role) -> _Turn:
        if not self._turns or self._turns[-1].role is not role:
            self._turns.append(_Turn(role))
        return self._turns[-1]

    def _add_user(self, message: neutral.Message) -> None:
        turn = self._turn(_USER)
        for part in message.parts:
            if isinstance(part, neutral.ToolResult):
                turn.results.append(self._tool_result(part))
            else:
                self._note_detail(part)
                turn.blocks += _user_blocks(part)

    def _add_system(self, message: neutral.Message) -> None:
        turn = self._turn(neutral.Role.USER)
        texts = encode_texts(part for part in message.parts if isinstance(part, neutral.Text))
        if self._system_turns:
            turn.system += texts
        else:
            turn.blocks += [_in_tags(text) for text in texts]
        for part in message.parts:
            if not isinstance(part, neutral.Text):
                raise unsupported(part.path, "a system message of anything but text")

    def _note_detail(self, part: neutral.AnyPart) -> None:
        """Name the detail of a picture, which the API has no word for."""
        if isinstance(part, neutral.Image) and part.detail not in {None, "auto"}:
            self._dropped.append(f"{part.path}.detail")

    def _assistant_blocks(self, part: neutral.AnyPart) -> list[Wire]:
        match part:
            case neutral.Text() | neutral.Refusal():
                return [_marked(_text(part.text), part)] if part.text else []
            case neutral.Thinking() | neutral.RedactedThinking():
                return self._thought(part)
            case neutral.ToolCall():
                return [_marked(self._tool_use(part), part)]
            case neutral.Document():
                return [encode_document(part)]
            case neutral.Image() | neutral.Audio() | neutral.ToolResult() | neutral.Foreign():
                raise unsupported(part.path, f"{_named(part)} in an assistant message")
            case _:
                assert_never(part)

    def _thought(self, part: neutral.Thinking | neutral.RedactedThinking) -> list[Wire]:
        proof = part.signature if isinstance(part, neutral.Thinking) else part.data
        if proof is None or is_sealed(proof):
            self._dropped.append(part.path)
            return []
        if isinstance(part, neutral.RedactedThinking):
            return [{"type": "redacted_thinking", "data": proof}]
        return [{"type": "thinking", "thinking": part.text, "signature": proof}]

    def _tool_use(self, part: neutral.ToolCall) -> Wire:
        arguments = part.arguments.strip()
        return {
            "type": "tool_use",
            "id": self._ids.clean(part.id),
            "name": part.name,
            "input": _object(arguments, part.path) if arguments else _EMPTY_OBJECT,
        }

    def _tool_result(self, part: neutral.ToolResult) -> Wire:
        block: Wire = {"type": "tool_result", "tool_use_id": self._ids.clean(part.call_id)}
        for inner in part.content:
            self._note_detail(inner)
        content = [one for inner in part.content for one in _user_blocks(inner)]
        if content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return _marked(block, part)

    def wire(self) -> list[Wire]:
        turns = [turn for one in self._turns for turn in one.wire()]
        turns = _merged(turns)
        if turns and turns[-1]["role"] == "assistant":
            _trim_last_text(turns)
        return turns


def _merged(turns: list[Wire]) -> list[Wire]:
    """Merge again what became neighbours when an empty turn between them fell away."""
    merged: list[Wire] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"]:
            merged[-1]["content"] = merged[-1]["content"] + turn["content"]
        else:
            merged.append(turn)
    return merged


def _trim_last_text(turns: list[Wire]) -> None:
    """A prefill may not end in white space: the API refuses it."""
    last = turns[-1]["content"][-1]
    if last["type"] != "text":
        return
    last["text"] = words_of(last["text"]).rstrip()
    if not last["text"]:
        turns[-1]["content"].pop()
        if not turns[-1]["content"]:
            turns.pop()


class _CallIds:
    """Tool call ids in the alphabet the API accepts: one clean id per id, never shared."""

    def __init__(self) -> None:
        self._clean: dict[str, str] = {}
        self._taken: set[str] = set()

    def clean(self, id_: str) -> str:
        known = self._clean.get(id_)
        if known is None:
            known = base = _ID_BAD.sub("_", id_) or "call"
            while known in self._taken:
                known = f"{base}_{len(self._taken)}"
            self._clean[id_] = known
            self._taken.add(known)
        return known


def _object(text: str, path: str) -> msgspec.Raw:
    raw = text.encode()
    try:
        _raw_object.decode(raw)
    except wire.UNREADABLE as error:
        problem = f"the tool call's arguments are not a JSON object: {error}"
        raise refused(path, problem) from None
    return msgspec.Raw(raw)


def _user_blocks(part: neutral.AnyPart) -> list[Wire]:
    match part:
        case neutral.Text(text=text):
            return [_marked(_text(text), part)] if text else []
        case neutral.Image():
            return [_marked({"type": "image", "source": _source(part.source, part.path)}, part)]
        case neutral.Document():
            return [encode_document(part)]
        case neutral.Refusal(text=text):
            return [_text(text)] if text else []
        case (
            neutral.Audio()
            | neutral.Foreign()
            | neutral.Thinking()
            | neutral.RedactedThinking()
            | neutral.ToolCall()
            | neutral.ToolResult()
        ):
            raise unsupported(part.path, _named(part))
        case _:
            assert_never(part)


def _named(part: neutral.AnyPart) -> str:
    return f"'{part.kind}'" if isinstance(part, neutral.Foreign) else type(part).__name__.lower()


def encode_document(part: neutral.Document) -> Wire:
    """Write a document block; inline data other than PDF is sent as text where it is text."""
    block: Wire = {"type": "document", "source": _document_source(part)}
    if part.name:
        block["title"] = part.name
    if part.context:
        block["context"] = part.context
    if part.citations:
        block["citations"] = {"enabled": True}
    return _marked(block, part)


def _document_source(part: neutral.Document) -> Wire:
    source = part.source
    if not isinstance(source, sources.DataSource) or source.media_type == "application/pdf":
        return _source(source, part.path)
    if not source.media_type.startswith(_TEXT_TYPES):
        raise unsupported(part.path, f"a document of type {source.media_type}")
    try:
        text = base64.b64decode(source.data, validate=True).decode()
    except ValueError:  # wrong base64, or bytes that are not UTF-8
        problem = f"the document of type {source.media_type} is not UTF-8 text in base64"
        raise refused(part.path, problem) from None
    return _source(sources.TextSource(text=text), part.path)


def _source(source: sources.Source, path: str) -> Wire:
    match source:
        case sources.UrlSource(url=url):
            return {"type": "url", "url": url}
        case sources.DataSource(media_type=media_type, data=data):
            return {"type": "base64", "media_type": media_type, "data": data}
        case sources.TextSource(text=text):
            return {"type": "text", "media_type": "text/plain", "data": text}
        case sources.FileSource(file_id=file_id, family=Family.ANTHROPIC):
            return {"type": "file", "file_id": file_id}
        case sources.FileSource():
            raise unsupported(path, "a file by another vendor's id")
        case _:
            assert_never(source)
