"""Turns of the neutral form, written as the input of a Responses request for an upstream.

Calls, their results and reasoning are items of their own; what is said between them is a message.
Pictures and files may stand in a tool's output. Thoughts that are none of OpenAI's are left out and
named: nobody else's can be replayed (https://platform.openai.com/docs/guides/reasoning).
"""

import base64
import binascii
from typing import Any, TypeAlias, assert_never

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_responses.faults import unsupported
from meterway.protocols.chat.openai_responses.reasoning import replayed
from meterway.protocols.chat.wording import Wording
from meterway.protocols.dialects import Family

Wire: TypeAlias = dict[str, Any]
_ASSISTANT = neutral.Role.ASSISTANT


class InputWriter:
    """Writes one request's input for `maker`; `dropped` collects the paths of what was left out."""

    def __init__(self, dropped: list[str], maker: str = "") -> None:
        self._dropped = dropped
        self._maker = maker
        self._items: list[Wire] = []

    def write(self, messages: tuple[neutral.Message, ...]) -> list[Wire]:
        """Return the items of `messages`. Raises `UnsupportedContentError`."""
        for turn in messages:
            if turn.name is not None:
                self._dropped.append(f"{turn.path}.name")
            self._write(turn)
        return self._items

    def _write(self, turn: neutral.Message) -> None:
        said: list[Wire] = []
        for part in turn.parts:
            self._note_mark(part)
            if (item := self._item(part)) is not None:
                self._message(turn.role, said)
                said = []
                self._items.append(item)
            elif not isinstance(part, neutral.Thinking | neutral.RedactedThinking):
                said.append(self._said(part, turn.role))
        self._message(turn.role, said)

    def _message(self, role: neutral.Role, said: list[Wire]) -> None:
        if said:
            self._items.append({"type": "message", "role": role.value, "content": said})

    def _note_mark(self, part: neutral.AnyPart) -> None:
        if part.cache is not None:
            self._dropped.append(f"{part.path}.cache_control")

    def _item(self, part: neutral.AnyPart) -> Wire | None:
        """Return the item that `part` is by itself; None where it belongs into a message."""
        match part:
            case neutral.ToolCall():
                return {
                    "type": "function_call",
                    "call_id": part.id,
                    "name": part.name,
                    "arguments": part.arguments or "{}",
                }
            case neutral.ToolResult():
                return self._result(part)
            case neutral.Thinking() | neutral.RedactedThinking():
                item = replayed(part, self._maker)
                if item is None:
                    self._dropped.append(part.path)
                return item
            case _:
                return None

    def _result(self, part: neutral.ToolResult) -> Wire:
        if part.is_error:
            self._dropped.append(f"{part.path}.is_error")
        content = part.content
        for inner in content:
            self._note_mark(inner)
        output: Wording | list[Wire] = ""
        if len(content) == 1 and isinstance(content[0], neutral.Text):
            output = content[0].text
        elif content:
            output = [self._said(inner, neutral.Role.USER) for inner in content]
        return {"type": "function_call_output", "call_id": part.call_id, "output": output}

    def _said(self, part: neutral.AnyPart, role: neutral.Role) -> Wire:
        match part:
            case neutral.Text(text=text):
                if role is _ASSISTANT:
                    return {"type": "output_text", "text": text, "annotations": []}
                return {"type": "input_text", "text": text}
            case neutral.Refusal(text=text):
                if role is _ASSISTANT:
                    return {"type": "refusal", "refusal": text}
                return {"type": "input_text", "text": text}
            case neutral.Image() | neutral.Audio() | neutral.Document() if role is not _ASSISTANT:
                return self._shown(part)
            case neutral.Foreign(kind=kind):
                raise unsupported(part.path, f"a part of type '{kind}'")
            case _:
                what = f"{type(part).__name__} in a message of role '{role.value}'"
                raise unsupported(part.path, what)

    def _shown(self, part: neutral.Image | neutral.Audio | neutral.Document) -> Wire:
        match part:
            case neutral.Image():
                return _image(part)
            case neutral.Audio(data=data, format=format_):
                return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
            case neutral.Document():
                if part.citations:
                    self._dropped.append(f"{part.path}.citations")
                return _document(part)
            case _:
                assert_never(part)


def _image(part: neutral.Image) -> Wire:
    image: Wire = {"type": "input_image", "detail": part.detail or "auto"}
    match part.source:
        case sources.UrlSource(url=url):
            return {**image, "image_url": url}
        case sources.DataSource(media_type=media_type, data=data):
            return {**image, "image_url": f"data:{media_type};base64,{data}"}
        case sources.FileSource(file_id=file_id, family=Family.OPENAI):
            return {**image, "file_id": file_id}
        case sources.FileSource():
            raise unsupported(part.path, "an image by another vendor's file id")
        case _:
            assert_never(part.source)


def _document(part: neutral.Document) -> Wire:
    """Write a document; one of plain text is written as text, with its name and context."""
    file: Wire = {"type": "input_file"}
    match part.source:
        case sources.TextSource(text=text):
            return _as_text(part, text)
        case sources.DataSource(media_type=media_type, data=data):
            if media_type.startswith("text/"):
                return _as_text(part, _decoded(data, part.path))
            file["filename"] = part.name or "document.pdf"
            file["file_data"] = f"data:{media_type};base64,{data}"
        case sources.FileSource(file_id=file_id, family=Family.OPENAI):
            file["file_id"] = file_id
        case sources.FileSource():
            raise unsupported(part.path, "a document by another vendor's file id")
        case sources.UrlSource(url=url):
            file["file_url"] = url
        case _:
            assert_never(part.source)
    return file


def _as_text(part: neutral.Document, text: str) -> Wire:
    said = "\n\n".join(filter(None, (part.name, part.context, text)))
    return {"type": "input_text", "text": said}


def _decoded(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(path, "a text document that is not UTF-8 in base64") from None
