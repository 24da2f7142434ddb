"""Reading a request's messages: turns and content blocks to neutral messages and parts."""

from collections.abc import Callable, Mapping

import msgspec

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_family import decode_at, refused, required, wording_at
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.dialects import Family

Leftovers = dict[str, msgspec.Raw]
_Reader = Callable[[wire.Block, str, Leftovers], neutral.AnyPart]
_blocks_decoder = msgspec.json.Decoder(list[wire.Block])
_raws_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class _Head(msgspec.Struct):
    type: str


def decode_messages(raw: msgspec.Raw, leftovers: Leftovers) -> tuple[neutral.Message, ...]:
    """Read `messages`; fields of blocks the neutral form lacks are noted in `leftovers` by path.

    Raises `InvalidRequestError` naming the path at fault.
    """
    messages = decode_at(raw, list[wire.Message], "messages")
    if not messages:
        raise refused("messages", "at least one message is required")
    return tuple(
        _message(message, f"messages.{number}", leftovers)
        for number, message in enumerate(messages)
    )


def decode_system(raw: msgspec.Raw | None, leftovers: Leftovers) -> tuple[neutral.Text, ...]:
    """Read `system`, a string or a list of text blocks."""
    if raw is None or raw == wire.NULL:
        return ()
    if wire.is_string(raw):
        text = wording_at(raw, "system")
        return (neutral.Text(text=text, path="system"),) if text else ()
    return tuple(
        _system_text(block, f"system.{place}", leftovers)
        for place, block in enumerate(blocks_of(raw, "system"))
    )


def _message(message: wire.Message, path: str, leftovers: Leftovers) -> neutral.Message:
    readers = _READERS.get(message.role)
    if readers is None:
        raise refused(f"{path}.role", "Input should be 'user', 'assistant' or 'system'")
    role = neutral.Role(message.role)
    where = f"{path}.content"
    if wire.is_string(message.content):
        text = neutral.Text(text=decode_at(message.content, str, where), path=where)
        return neutral.Message(role=role, parts=(text,), path=path)
    parts = _parts(message.content, where, readers, leftovers)
    if role is neutral.Role.USER:
        parts.sort(key=_comes_after_results)
    return neutral.Message(role=role, parts=tuple(parts), path=path)


def _comes_after_results(part: neutral.AnyPart) -> bool:
    return not isinstance(part, neutral.ToolResult)


def _parts(
    raw: msgspec.Raw, where: str, readers: Mapping[str, _Reader], leftovers: Leftovers
) -> list[neutral.AnyPart]:
    parts: list[neutral.AnyPart] = []
    for place, block in enumerate(blocks_of(raw, where)):
        path = f"{where}.{place}"
        reader = readers.get(block.type)
        if reader is not None:
            parts.append(reader(block, path, leftovers))
        elif block.type in _KNOWN:
            raise refused(path, f"`{block.type}` blocks cannot stand in a message of this role")
        else:
            parts.append(_foreign(raw, place, block.type, path))
    return parts


def blocks_of(raw: msgspec.Raw, path: str) -> list[wire.Block]:
    """Read a list of content blocks; one of an unknown type keeps its type alone.

    Raises `InvalidRequestError` naming the field that has the wrong type.
    """
    try:
        return _blocks_decoder.decode(raw)
    except wire.UNREADABLE:
        return [
            _block(one, f"{path}.{place}")
            for place, one in enumerate(decode_at(raw, list[msgspec.Raw], path))
        ]


def _block(raw: msgspec.Raw, path: str) -> wire.Block:
    kind = decode_at(raw, _Head, path).type
    return decode_at(raw, wire.Block, path) if kind in _KNOWN else wire.Block(type=kind)


def _foreign(raw: msgspec.Raw, place: int, kind: str, path: str) -> neutral.Foreign:
    return neutral.Foreign(kind=kind, raw=_raws_decoder.decode(raw)[place], path=path)


def cache_mark(control: wire.CacheControl | None) -> neutral.CacheMark | None:
    """Read a cache breakpoint."""
    return None if control is None else neutral.CacheMark(ttl=control.ttl or "5m")


def _system_text(block: wire.Block, path: str, leftovers: Leftovers) -> neutral.Text:
    if block.type != "text":
        raise refused(f"{path}.type", "Input should be 'text'")
    return _text(block, path, leftovers)


def _text(block: wire.Block, path: str, leftovers: Leftovers) -> neutral.Text:
    if block.text is None:
        raise required(f"{path}.text")
    if wire.given(block.citations) and bytes(block.citations) != b"[]":
        leftovers[f"{path}.citations"] = block.citations
    return neutral.Text(text=block.text, path=path, cache=cache_mark(block.cache_control))


def _thinking(block: wire.Block, path: str, _: Leftovers) -> neutral.Thinking:
    if block.thinking is None:
        raise required(f"{path}.thinking")
    return neutral.Thinking(text=block.thinking, signature=block.signature or None, path=path)


def _redacted(block: wire.Block, path: str, _: Leftovers) -> neutral.RedactedThinking:
    if block.data is None:
        raise required(f"{path}.data")
    return neutral.RedactedThinking(data=block.data, path=path)


def _tool_use(block: wire.Block, path: str, _: Leftovers) -> neutral.ToolCall:
    if block.id is None:
        raise required(f"{path}.id")
    if block.name is None:
        raise required(f"{path}.name")
    if not block.input:
        raise required(f"{path}.input")
    if not wire.is_object(block.input):
        raise refused(f"{path}.input", "Input should be a valid dictionary")
    return neutral.ToolCall(
        id=block.id,
        name=block.name,
        arguments=bytes(block.input).decode(),
        path=path,
        cache=cache_mark(block.cache_control),
    )


def _tool_result(
    block: wire.Block, path: str, leftovers: Leftovers
) -> neutral.ToolResult | neutral.Foreign:
    if block.tool_use_id is None:
        raise required(f"{path}.tool_use_id")
    where = f"{path}.content"
    content: list[neutral.Text | neutral.Image | neutral.Document] = []
    if wire.given(block.content) and wire.is_string(block.content):
        text = decode_at(block.content, str, where)
        content = [neutral.Text(text=text, path=where)] if text else []
    elif wire.given(block.content):
        for part in _parts(block.content, where, _RESULT_READERS, leftovers):
            if isinstance(part, neutral.Foreign):
                return part
            assert isinstance(part, neutral.Text | neutral.Image | neutral.Document)
            content.append(part)
    return neutral.ToolResult(
        call_id=block.tool_use_id,
        content=tuple(content),
        is_error=bool(block.is_error),
        path=path,
        cache=cache_mark(block.cache_control),
    )


def _image(block: wire.Block, path: str, leftovers: Leftovers) -> neutral.Image:
    source = _source(_wire_source(block, path), f"{path}.source")
    if isinstance(source, sources.TextSource):
        raise refused(f"{path}.source.type", "Input should be 'base64', 'url' or 'file'")
    if wire.given(block.transformations):
        leftovers[f"{path}.transformations"] = block.transformations
    return neutral.Image(source=source, path=path, cache=cache_mark(block.cache_control))


def _document(block: wire.Block, path: str, _: Leftovers) -> neutral.Document | neutral.Foreign:
    source = _wire_source(block, path)
    if source.type == "content" and _holds_more_than_text(source, f"{path}.source.content"):
        return neutral.Foreign(kind="document", raw=block.source, path=f"{path}.source.content")
    return neutral.Document(
        source=_source(source, f"{path}.source"),
        name=block.title,
        context=block.context,
        citations=wire.given(block.citations) and _citations_enabled(block.citations, path),
        path=path,
        cache=cache_mark(block.cache_control),
    )


class _Citations(msgspec.Struct):
    enabled: bool = False


def _citations_enabled(raw: msgspec.Raw, path: str) -> bool:
    return decode_at(raw, _Citations, f"{path}.citations").enabled


def _wire_source(block: wire.Block, path: str) -> wire.Source:
    if not wire.given(block.source):
        raise required(f"{path}.source")
    return decode_at(block.source, wire.Source, f"{path}.source")


def _source(source: wire.Source, path: str) -> sources.Source:
    match source.type:
        case "url":
            return sources.UrlSource(url=_needed(source.url, f"{path}.url"))
        case "file":
            file_id = _needed(source.file_id, f"{path}.file_id")
            return sources.FileSource(file_id, Family.ANTHROPIC)
        case "base64":
            kind = _needed(source.media_type, f"{path}.media_type")
            return sources.DataSource(media_type=kind, data=_needed(source.data, f"{path}.data"))
        case "text":
            return sources.TextSource(text=_needed(source.data, f"{path}.data"))
        case "content":
            return sources.TextSource(text=_content_text(source, f"{path}.content"))
        case _:
            raise refused(f"{path}.type", f"'{source.type}' is not a known source type")


def _holds_more_than_text(source: wire.Source, path: str) -> bool:
    if not wire.given(source.content) or wire.is_string(source.content):
        return False
    return any(block.type != "text" for block in blocks_of(source.content, path))


def _content_text(source: wire.Source, path: str) -> str:
    """Join a document given as text blocks; only citations would tell the blocks apart."""
    if not wire.given(source.content):
        raise required(path)
    if wire.is_string(source.content):
        return decode_at(source.content, str, path)
    return "\n\n".join(
        _needed(block.text, f"{path}.{place}.text")
        for place, block in enumerate(blocks_of(source.content, path))
    )


def _needed(value: str | None, path: str) -> str:
    if value is None:
        raise required(path)
    return value


_RESULT_READERS: Mapping[str, _Reader] = {"text": _text, "image": _image, "document": _document}
_READERS: Mapping[str, Mapping[str, _Reader]] = {
    "user": {**_RESULT_READERS, "tool_result": _tool_result},
    "assistant": {
        **_RESULT_READERS,
        "thinking": _thinking,
        "redacted_thinking": _redacted,
        "tool_use": _tool_use,
    },
    "system": {"text": _text},
}
_KNOWN = frozenset(kind for readers in _READERS.values() for kind in readers)
