"""Turns of the neutral form, written as chat completions messages.

Content of text alone is one string, its texts joined by a blank line, because many servers take
nothing else; content with anything besides is a list. Tool messages hold text only, so pictures
and files of a tool's result follow in a user message that names the call; all tool messages of
neighbouring user turns come first, as the API wants them right behind their calls.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any, TypeAlias, assert_never

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.envelopes import is_sealed
from meterway.protocols.chat.openai_chat.faults import unsupported
from meterway.protocols.chat.openai_chat.reasoning import encode_detail, thoughts_of
from meterway.protocols.chat.openai_chat.wire import signed
from meterway.protocols.chat.openai_models import Abilities
from meterway.protocols.chat.wording import Wording, joined
from meterway.protocols.dialects import Family
from meterway.protocols.errors import UnsupportedContentError

Wire: TypeAlias = dict[str, Any]
_USER, _ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
_BETWEEN = "\n\n"


class MessageWriter:
    """Writes one request's messages; `dropped` collects the paths of what was left out."""

    def __init__(self, abilities: Abilities, dropped: list[str]) -> None:
        self._abilities = abilities
        self._dropped = dropped
        self._messages: list[Wire] = []
        self._held: list[Wire] = []  # user messages that wait for tool messages before them

    def write(self, request: neutral.Request) -> list[Wire]:
        """Return the messages of `request`. Raises `UnsupportedContentError`."""
        if request.system:
            self._messages.append({"role": "system", "content": self._texts(request.system)})
        for turn in request.messages:
            if turn.role is _USER:
                self._user(turn)
                continue
            if self._held:
                self._release()
            if turn.role is _ASSISTANT:
                self._messages.append(self._assistant(turn))
            else:
                self._messages.append(_named("system", self._texts(turn.parts), turn))
        self._release()
        return self._messages

    def _texts(self, parts: Iterable[neutral.AnyPart]) -> Wording:
        """Join what a system turn says."""
        texts: list[Wording] = []
        for part in parts:
            if not isinstance(part, neutral.Text):
                raise unsupported(part.path, "a system message of anything but text")
            if part.cache is not None:
                self._note_mark(part)
            texts.append(part.text)
        return joined(texts, _BETWEEN)

    def _release(self) -> None:
        self._messages += self._held
        self._held = []

    def _note_mark(self, part: neutral.AnyPart) -> None:
        self._dropped.append(f"{part.path}.cache_control")

    def _user(self, turn: neutral.Message) -> None:
        content: list[neutral.AnyPart] = []
        for part in turn.parts:
            if part.cache is not None:
                self._note_mark(part)
            if type(part) is neutral.ToolResult:
                self._messages.append(self._result(part, content))
            else:
                content.append(part)
        if content or not turn.parts:
            self._held.append(_named("user", self._content(content), turn))

    def _result(self, result: neutral.ToolResult, after: list[neutral.AnyPart]) -> Wire:
        """Write a tool message; what it cannot hold is added to `after`."""
        texts: list[Wording] = []
        others: list[neutral.AnyPart] = []
        for inner in result.content:
            if inner.cache is not None:
                self._note_mark(inner)
            if type(inner) is neutral.Text:
                texts.append(inner.text)
            else:
                others.append(inner)
        if result.is_error:
            self._dropped.append(f"{result.path}.is_error")
        if others:
            after += [neutral.Text(text=f"From the result of {result.call_id}:"), *others]
            note = f"[files of {result.call_id} follow in the next message]"
            texts = [*texts, note] if any(texts) else [note]
        text = texts[0] if len(texts) == 1 else joined(texts, _BETWEEN)
        return {"role": "tool", "tool_call_id": result.call_id, "content": text}

    def _content(self, parts: list[neutral.AnyPart]) -> Wording | list[Wire]:
        if len(parts) == 1 and type(parts[0]) is neutral.Text:
            return parts[0].text
        written: list[Wire] = []
        for part in parts:
            written += self._part(part)
        if all(part["type"] == "text" for part in written):
            return joined([part["text"] for part in written], _BETWEEN)
        return written

    def _part(self, part: neutral.AnyPart) -> list[Wire]:
        match part:
            case neutral.Text(text=text) | neutral.Refusal(text=text):
                return [_text(text)]
            case neutral.Image():
                return [_image(part)]
            case neutral.Audio(data=data, format=format_):
                return [{"type": "input_audio", "input_audio": {"data": data, "format": format_}}]
            case neutral.Document():
                return self._document(part)
            case neutral.Foreign(kind=kind):
                raise unsupported(part.path, f"a part of type '{kind}'")
            case (
                neutral.Thinking()
                | neutral.RedactedThinking()
                | neutral.ToolCall()
                | neutral.ToolResult()
            ):
                raise unsupported(part.path, f"{type(part).__name__} in a user message")
            case _:
                assert_never(part)

    def _document(self, part: neutral.Document) -> list[Wire]:
        if part.citations:
            self._dropped.append(f"{part.path}.citations")
        file, text = _file(part)
        if file is None:
            return [_text(_BETWEEN.join(filter(None, (part.name, part.context, text))))]
        context = [_text(part.context)] if part.context else []
        return [*context, {"type": "file", "file": file}]

    def _assistant(self, turn: neutral.Message) -> Wire:
        texts: list[Wording] = []
        refusals: list[Wording] = []
        calls: list[Wire] = []
        thinks = False
        for part in turn.parts:
            if part.cache is not None:
                self._note_mark(part)
            if isinstance(part, neutral.ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, neutral.Text):
                texts.append(part.text)
            elif isinstance(part, neutral.Thinking | neutral.RedactedThinking):
                thinks = True  # written below, from all parts at once
            elif isinstance(part, neutral.Refusal):
                (refusals if self._abilities.refusals else texts).append(part.text)
            else:
                raise _not_said(part)
        silent = None if refusals or calls else ""
        message = _named("assistant", joined(texts, _BETWEEN) if texts else silent, turn)
        if refusals:
            message["refusal"] = joined(refusals, _BETWEEN)
        if thinks:
            message |= self._reasoning(turn)
        if calls:
            message["tool_calls"] = calls
        return message

    def _call(self, part: neutral.ToolCall) -> Wire:
        function = {"name": part.name, "arguments": part.arguments or "{}"}
        call = {"id": part.id, "type": "function", "function": function}
        return signed(call, part.signature) if self._abilities.call_signatures else call

    def _reasoning(self, turn: neutral.Message) -> Wire:
        thoughts = thoughts_of(turn.parts)
        if self._abilities.thinking_details:
            own = [part for part in thoughts if not _is_of_another(part)]
            self._dropped += [part.path for part in thoughts if _is_of_another(part)]
            items = [encode_detail(part, place) for place, part in enumerate(own)]
            return {"reasoning_details": items} if items else {}
        texts = [part.text for part in thoughts if isinstance(part, neutral.Thinking)]
        sent = self._abilities.thinking_text and any(texts)
        self._dropped += [
            part.path for part in thoughts if not (sent and isinstance(part, neutral.Thinking))
        ]
        return {"reasoning_content": "".join(texts)} if sent else {}


def _is_of_another(part: neutral.Thinking | neutral.RedactedThinking) -> bool:
    """Whether a thought is signed by a vendor whose dialect is not this one."""
    return is_sealed(part.signature if isinstance(part, neutral.Thinking) else part.data)


_Unsaid: TypeAlias = (
    neutral.Image | neutral.Document | neutral.Audio | neutral.ToolResult | neutral.Foreign
)


def _not_said(part: _Unsaid) -> UnsupportedContentError:
    if isinstance(part, neutral.Foreign):
        return unsupported(part.path, f"a part of type '{part.kind}'")
    return unsupported(part.path, f"{type(part).__name__} in an assistant message")


def _named(role: str, content: Wording | list[Wire] | None, turn: neutral.Message) -> Wire:
    message: Wire = {"role": role, "content": content}
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _text(text: Wording) -> Wire:
    return {"type": "text", "text": text}


def _image(part: neutral.Image) -> Wire:
    match part.source:
        case sources.UrlSource(url=url):
            image = {"url": url}
        case sources.DataSource(media_type=media_type, data=data):
            image = {"url": f"data:{media_type};base64,{data}"}
        case sources.FileSource():
            raise unsupported(part.path, "an image by file id")
        case _:
            assert_never(part.source)
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _file(part: neutral.Document) -> tuple[dict[str, str] | None, str]:
    """Return the file, or None and the text where the document is text."""
    match part.source:
        case sources.TextSource(text=text):
            return None, text
        case sources.DataSource(media_type=media_type, data=data):
            if media_type.startswith("text/"):
                return None, _decoded(data, part.path)
            url = f"data:{media_type};base64,{data}"
            return {"filename": part.name or "document.pdf", "file_data": url}, ""
        case sources.FileSource(file_id=file_id, family=Family.OPENAI):
            return {"file_id": file_id}, ""
        case sources.FileSource():
            raise unsupported(part.path, "a document by another vendor's file id")
        case sources.UrlSource():
            raise unsupported(part.path, "a document by URL")
        case _:
            assert_never(part.source)


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(path, "a text document that is not UTF-8 in base64") from None
