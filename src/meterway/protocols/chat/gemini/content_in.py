"""Reading a client's turns: `contents` and `systemInstruction` to the neutral form.

Follows https://ai.google.dev/api/caching#Content. Calls without ids, as older models make them,
get one from their place; a result without an id answers the oldest open call of its function.
Thoughts that follow each other are one part until a signature ends them, so that the parts of a
stream's chunks may come back unjoined. A signature on the answer's text becomes a reasoning part
of its own without text.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import wire
from meterway.protocols.chat.gemini.faults import decode_at, refused, required, wording_at
from meterway.protocols.chat.gemini.marks import read_mark
from meterway.protocols.chat.wording import words_of

Leftovers: TypeAlias = dict[str, msgspec.Raw]
_ROLES: Mapping[str, neutral.Role] = {
    "user": neutral.Role.USER,
    "function": neutral.Role.USER,
    "tool": neutral.Role.USER,
    "model": neutral.Role.ASSISTANT,
}
_SOUNDS: Mapping[str, str] = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
_EMPTY_OBJECT = "{}"
_VENDORS_FILES = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
_Parts: TypeAlias = list[neutral.AnyPart]
_Inner: TypeAlias = neutral.Text | neutral.Image | neutral.Document


def decode_system(raw: msgspec.Raw | None) -> tuple[neutral.Text, ...]:
    """Read the system instruction. Raises `InvalidRequestError` for anything but text."""
    if raw is None or raw == wire.NULL:
        return ()
    path = "systemInstruction"
    parts = decode_at(raw, wire.Content, path).parts or ()
    texts: list[neutral.Text] = []
    for place, part in enumerate(parts):
        where = f"{path}.parts[{place}]"
        if not wire.given(part.text):
            raise refused(where, "a system instruction holds text alone")
        texts.append(neutral.Text(text=wording_at(part.text, f"{where}.text"), path=where))
    return tuple(texts)


def decode_contents(raw: msgspec.Raw, extra: Leftovers) -> tuple[neutral.Message, ...]:
    """Read the turns; what only this API knows of a part is added to `extra` under its path."""
    contents = decode_at(raw, list[wire.Content], "contents")
    if not contents:
        raise required("contents")
    reader = _Reader(raw, extra)
    return tuple([reader.turn(content, place) for place, content in enumerate(contents)])


class _Reader:
    """Reads turn after turn, remembering the calls that no result has answered yet."""

    def __init__(self, raw: msgspec.Raw, extra: Leftovers) -> None:
        self._raw = raw
        self._extra = extra
        self._open: list[tuple[str, str]] = []  # ids and names of calls

    def turn(self, content: wire.Content, number: int) -> neutral.Message:
        path = f"contents[{number}]"
        role = _ROLES.get(content.role or "user")
        if role is None:
            raise refused(f"{path}.role", "use a valid role: user, model")
        if not content.parts:
            raise required(f"{path}.parts")
        parts: _Parts = []
        results: _Parts = []
        for place, part in enumerate(content.parts):
            where = f"{path}.parts[{place}]"
            if not part.is_plain():
                self._extra |= {f"{where}.{name}": value for name, value in part.knobs().items()}
            if part.function_response is not None:
                results.append(self._result(part.function_response, where))
            else:
                self._add(part, parts, (number, place), role)
        return neutral.Message(role=role, parts=(*results, *parts), path=path)

    def _add(
        self, part: wire.Part, parts: _Parts, place: tuple[int, int], role: neutral.Role
    ) -> None:
        path = f"contents[{place[0]}].parts[{place[1]}]"
        kind = None if part.is_plain() else part.vendors()
        if kind is not None:
            parts.append(self._foreign(kind, place))
        elif part.function_call is not None:
            parts.append(self._call(part, part.function_call, place))
        elif part.inline_data is not None:
            parts.append(_inline(part.inline_data, path) or self._foreign("inlineData", place))
        elif part.file_data is not None:
            parts.append(_file(part.file_data, path) or self._foreign("fileData", place))
        elif wire.given(part.text):
            if role is neutral.Role.ASSISTANT:
                _add_said(part, parts, path)
            else:
                text = wording_at(part.text, f"{path}.text")
                parts.append(neutral.Text(text=text, path=path))
        elif part.thought_signature:
            _add_thought("", part.thought_signature, parts, path)
        else:
            raise refused(path, "the part holds none of the known kinds of content")

    def _foreign(self, kind: str, place: tuple[int, int]) -> neutral.Foreign:
        number, at = place
        path = f"contents[{number}].parts[{at}]"
        content = decode_at(self._raw, list[dict[str, msgspec.Raw]], "contents")[number]
        raw = decode_at(content["parts"], list[msgspec.Raw], path)[at]
        return neutral.Foreign(kind=kind, raw=raw, path=path)

    def _call(
        self, part: wire.Part, call: wire.FunctionCall, place: tuple[int, int]
    ) -> neutral.ToolCall:
        path = f"contents[{place[0]}].parts[{place[1]}]"
        if not call.name:
            raise required(f"{path}.functionCall.name")
        id_ = call.id or f"call_{place[0]}_{place[1]}"
        self._open.append((id_, call.name))
        arguments = _EMPTY_OBJECT
        if wire.given(call.args):
            where = f"{path}.functionCall.args"
            decode_at(call.args, dict[str, msgspec.Raw], where)
            arguments = str(call.args, "utf-8")
        return neutral.ToolCall(
            id=id_,
            name=call.name,
            arguments=arguments,
            signature=part.thought_signature or None,
            path=path,
        )

    def _result(self, result: wire.FunctionResponse, path: str) -> neutral.ToolResult:
        where = f"{path}.functionResponse"
        if not result.name:
            raise required(f"{where}.name")
        content, is_error = _returned(result.response, f"{where}.response")
        for place, part in enumerate(result.parts or ()):
            content.append(_returned_file(part, f"{where}.parts[{place}]"))
        call_id = self._answered(result.id, result.name, where)
        return neutral.ToolResult(
            call_id=call_id, content=tuple(content), is_error=is_error, path=path
        )

    def _answered(self, id_: str | None, name: str, path: str) -> str:
        """Return the id of the call a result answers, and close that call."""
        for call in self._open:
            if call[0] == id_ or (not id_ and call[1] == name):
                self._open.remove(call)
                return call[0]
        if id_:
            return id_
        raise refused(path, f"no open call of the function '{name}' stands before its result")


def _add_said(part: wire.Part, parts: _Parts, path: str) -> None:
    """Add what the model said, or thought, in words."""
    text = wording_at(part.text, f"{path}.text")
    if part.thought:
        _add_thought(words_of(text), part.thought_signature, parts, path)
        return
    if text or not part.thought_signature:
        parts.append(neutral.Text(text=text, path=path))
    if part.thought_signature:
        parts.append(_signed("", part.thought_signature, path))


def _add_thought(text: str, mark: str | None, parts: _Parts, path: str) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, neutral.Thinking) and last.signature is None:
        read = read_mark(mark) if mark else None
        if not isinstance(read, neutral.RedactedThinking):
            parts[-1] = msgspec.structs.replace(last, text=last.text + text, signature=read)
            return
    parts.append(_signed(text, mark, path))


def _signed(text: str, mark: str | None, path: str) -> neutral.Thinking | neutral.RedactedThinking:
    read = read_mark(mark) if mark else None
    if isinstance(read, neutral.RedactedThinking):
        return msgspec.structs.replace(read, path=path)
    return neutral.Thinking(text=text, signature=read, path=path)


def _returned(raw: msgspec.Raw, path: str) -> tuple[list[_Inner], bool]:
    """Read a result's object: `output` or `result` hold what was returned, `error` what failed.

    An object of other keys is the result itself, as JSON.
    """
    if not wire.given(raw):
        return [], False
    found = decode_at(raw, dict[str, msgspec.Raw], path)
    name = next(iter(found)) if len(found) == 1 else ""
    value = found[name] if name in {"output", "result", "error"} else raw
    text = str(value, "utf-8")
    said = decode_at(value, str, path) if text.startswith('"') else text
    return ([neutral.Text(text=said, path=path)] if said else []), name == "error"


def _returned_file(part: wire.ResponsePart, path: str) -> neutral.Image | neutral.Document:
    found: object = None
    if part.inline_data is not None:
        found = _inline(part.inline_data, path)
    elif part.file_data is not None:
        found = _file(part.file_data, path)
    if isinstance(found, neutral.Image | neutral.Document):
        return found
    raise refused(path, "a function's result may hold pictures and documents beside its object")


def _inline(blob: wire.Blob, path: str) -> neutral.Image | neutral.Audio | neutral.Document | None:
    """Read inline bytes; None for a film, which no other API takes."""
    where = f"{path}.inlineData"
    if not blob.mime_type:
        raise required(f"{where}.mimeType")
    if blob.data is None:
        raise required(f"{where}.data")
    kind, _, form = blob.mime_type.partition(";")[0].strip().lower().partition("/")
    if kind == "audio":
        return neutral.Audio(data=blob.data, format=_SOUNDS.get(form, form), path=path)
    if kind == "video":
        return None
    source = sources.DataSource(media_type=blob.mime_type, data=blob.data)
    if kind == "image":
        return neutral.Image(source=source, path=path)
    return neutral.Document(source=source, path=path)


def _file(file: wire.FileData, path: str) -> neutral.Image | neutral.Document | None:
    """Read an address; None for what only Google can fetch: its own files, films and sound."""
    if not file.file_uri:
        raise required(f"{path}.fileData.fileUri")
    kind = (file.mime_type or "").lower()
    if file.file_uri.startswith(_VENDORS_FILES) or not file.file_uri.startswith("http"):
        return None
    source = sources.UrlSource(url=file.file_uri)
    if kind.startswith("image/"):
        return neutral.Image(source=source, path=path)
    return neutral.Document(source=source, path=path) if kind == "application/pdf" else None
