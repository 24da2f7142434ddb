"""Writing turns for a Gemini upstream: neutral turns to `contents`.

Follows https://ai.google.dev/api/caching#Content and, for signatures,
https://ai.google.dev/gemini-api/docs/thought-signatures. Consecutive turns of one role are merged;
results of functions come first in their turn, under the name of the function they answer. A system
turn between others becomes a text of the user's, inside `<system>` tags. Reasoning that Google did
not sign is left out, named in `dropped`. Gemini 3 refuses a turn whose first call has no signature:
one that another vendor's model made, or that came over a client which cannot carry signatures,
gets the value that the page names for such histories.
"""

import mimetypes
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final, TypeAlias, assert_never

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.abilities import Abilities
from meterway.protocols.chat.gemini.faults import refused, unsupported
from meterway.protocols.chat.gemini.marks import UNSIGNED, own_mark
from meterway.protocols.chat.wording import words_of

Wire: TypeAlias = dict[str, Any]
_USER, _MODEL = "user", "model"
_SOUNDS: Final = {"mp3": "audio/mp3", "wav": "audio/wav"}
_EMPTY_OBJECT = msgspec.Raw(b"{}")
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ContentWriter:
    """Writes one request's turns; `dropped` collects the paths of what was left out."""

    def __init__(self, abilities: Abilities, dropped: list[str]) -> None:
        self._abilities = abilities
        self._dropped = dropped
        self._turns: list[tuple[str, list[Wire], list[Wire]]] = []  # role, results, other parts
        self._called: dict[str, str] = {}  # names of functions by the ids of their calls

    def write(self, messages: Iterable[neutral.Message]) -> list[Wire]:
        """Return the contents. Raises `UnsupportedContentError` and `InvalidRequestError`."""
        for message in messages:
            if message.name is not None:
                self._dropped.append(f"{message.path}.name")
            role = _MODEL if message.role is neutral.Role.ASSISTANT else _USER
            results, parts = self._turn(role)
            for part in message.parts:
                self._note_unsaid(part)
                if isinstance(part, neutral.ToolResult):
                    results += self._result(part, parts)
                elif message.role is neutral.Role.SYSTEM:
                    parts.append(_in_tags(part))
                else:
                    parts += self._part(part, role)
        turns = [{"role": role, "parts": [*first, *rest]} for role, first, rest in self._turns]
        written = [turn for turn in turns if turn["parts"]]
        if self._abilities.signed:
            _sign(written)
        return written

    def texts(self, system: Iterable[neutral.Text]) -> list[Wire]:
        """Write the parts of a system instruction, leaving out empty ones."""
        written = []
        for text in system:
            self._note_unsaid(text)
            if text.text:
                written.append({"text": text.text})
        return written

    def _turn(self, role: str) -> tuple[list[Wire], list[Wire]]:
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, [], []))
        return self._turns[-1][1:]

    def _note_unsaid(self, part: neutral.AnyPart) -> None:
        if part.cache is not None:
            self._dropped.append(f"{part.path}.cache_control")
        if isinstance(part, neutral.Image) and part.detail not in {None, "auto"}:
            self._dropped.append(f"{part.path}.detail")

    def _part(self, part: neutral.AnyPart, role: str) -> list[Wire]:
        match part:
            case neutral.Text(text=text) | neutral.Refusal(text=text):
                return [{"text": text}] if text else []
            case neutral.Thinking() | neutral.RedactedThinking():
                return self._thought(part)
            case neutral.ToolCall():
                return [self._call(part)]
            case neutral.Image():
                return [_media(part.source, part.path, "an image")]
            case neutral.Audio(data=data, format=format_):
                kind = _SOUNDS.get(format_, f"audio/{format_}")
                return [{"inlineData": {"mimeType": kind, "data": data}}]
            case neutral.Document():
                return self._document(part)
            case neutral.Foreign(kind=kind):
                raise unsupported(part.path, f"a part of type '{kind}'")
            case neutral.ToolResult():
                raise unsupported(part.path, f"a tool's result in a {role} turn")
            case _:
                assert_never(part)

    def _thought(self, part: neutral.Thinking | neutral.RedactedThinking) -> list[Wire]:
        if isinstance(part, neutral.Thinking):
            text, own = part.text, own_mark(part.signature)
        else:
            text, own = "", own_mark(part.data)
        if own is None:
            self._dropped.append(part.path)
            return []
        said: Wire = {"text": text, "thoughtSignature": own}
        return [said | {"thought": True} if text else said]

    def _call(self, part: neutral.ToolCall) -> Wire:
        self._called[part.id] = part.name
        call = {"id": part.id, "name": part.name, "args": _arguments(part)}
        written: Wire = {"functionCall": call}
        if part.signature is not None:
            written["thoughtSignature"] = part.signature
        return written

    def _result(self, part: neutral.ToolResult, after: list[Wire]) -> list[Wire]:
        """Write a result; files that the model takes in no result are added to `after`."""
        name = self._called.get(part.call_id)
        if name is None:
            raise refused(part.path, f"no tool call with the id '{part.call_id}' stands before it")
        texts = [words_of(one.text) for one in part.content if isinstance(one, neutral.Text)]
        key = "error" if part.is_error else "output"
        response: Wire = {"id": part.call_id, "name": name, "response": {key: "\n\n".join(texts)}}
        files: list[Wire] = []
        for inner in part.content:
            self._note_unsaid(inner)
            if not isinstance(inner, neutral.Text):
                files += self._part(inner, _USER)
        if files and self._abilities.files and all("inlineData" in file for file in files):
            response["parts"] = files
        elif files:
            after += [{"text": f"From the result of {part.call_id}:"}, *files]
        return [{"functionResponse": response}]

    def _document(self, part: neutral.Document) -> list[Wire]:
        if part.citations:
            self._dropped.append(f"{part.path}.citations")
        about = [text for text in (part.name, part.context) if text]
        if isinstance(part.source, sources.TextSource):
            return [{"text": "\n\n".join([*about, part.source.text])}]
        context = [{"text": "\n\n".join(about)}] if part.context else []
        return [*context, _media(part.source, part.path, "a document")]


def _in_tags(part: neutral.AnyPart) -> Wire:
    if not isinstance(part, neutral.Text):
        raise unsupported(part.path, "a system message of anything but text")
    return {"text": f"<system>\n{words_of(part.text)}\n</system>"}


def _media(source: sources.Source, path: str, what: str) -> Wire:
    match source:
        case sources.DataSource(media_type=media_type, data=data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case sources.UrlSource(url=url):
            kind = mimetypes.guess_type(url.partition("?")[0])[0]
            return {"fileData": {"fileUri": url} | ({"mimeType": kind} if kind else {})}
        case sources.TextSource(text=text):
            encoded = b64encode(text.encode()).decode()
            return {"inlineData": {"mimeType": "text/plain", "data": encoded}}
        case sources.FileSource():
            raise unsupported(path, f"{what} by another vendor's file id")
        case _:
            assert_never(source)


def _arguments(part: neutral.ToolCall) -> msgspec.Raw:
    text = part.arguments.strip()
    if not text:
        return _EMPTY_OBJECT
    raw = text.encode()
    try:
        _raw_object.decode(raw)
    except wire.UNREADABLE:
        raise refused(part.path, "the arguments of a tool call are no JSON object") from None
    return msgspec.Raw(raw)


def _sign(turns: list[Wire]) -> None:
    """Sign the first call of each of the model's turns, where it came without signature."""
    for turn in turns:
        first = next((part for part in turn["parts"] if "functionCall" in part), None)
        if first is not None:
            first.setdefault("thoughtSignature", UNSIGNED)
