"""Messages of the usual shapes, read in one pass: texts, thinking, tool calls and their results.

Decoding straight into a union by `type` costs a third of finding out block by block what each is,
and texts are not read at all. Whatever is out of the usual (images, foreign blocks, fields of
other types, roles that may not say a block) is left to `content_in`, which also words the errors.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.content_in import cache_mark
from meterway.protocols.chat.wording import unread

_USER, _ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
_SILENT = (wire.NULL, wire.Raw(b'""'))


class _Text(msgspec.Struct, tag="text"):
    text: msgspec.Raw
    citations: msgspec.Raw = wire.NOTHING
    cache_control: wire.CacheControl | None = None


class _Thinking(msgspec.Struct, tag="thinking"):
    thinking: str
    signature: str | None = None


class _Redacted(msgspec.Struct, tag="redacted_thinking"):
    data: str


class _Call(msgspec.Struct, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw
    cache_control: wire.CacheControl | None = None


class _Result(msgspec.Struct, tag="tool_result"):
    tool_use_id: str
    content: msgspec.Raw = wire.NULL
    is_error: bool | None = None
    cache_control: wire.CacheControl | None = None


_Block: TypeAlias = _Text | _Call | _Result | _Thinking | _Redacted


class _Message(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[_Block]


_decode = msgspec.json.Decoder(list[_Message]).decode
_decode_texts = msgspec.json.Decoder(list[_Text]).decode


class _UnusualError(Exception):
    """Something here needs the thorough reading."""


def read_usual(raw: msgspec.Raw) -> tuple[neutral.Message, ...] | None:
    """Read `messages`; None where anything in them is out of the usual, or wrong."""
    try:
        messages = _decode(raw)
        read = [_message(one, f"messages.{place}") for place, one in enumerate(messages)]
    except (_UnusualError, *wire.UNREADABLE):
        return None
    return tuple(read) or None


def _message(message: _Message, path: str) -> neutral.Message:
    content, where = message.content, path + ".content"
    role, readers = _SPEAKERS[message.role]
    if isinstance(content, str):
        text = neutral.Text(text=content, path=where)
        return neutral.Message(role=role, parts=(text,), path=path)
    parts: list[neutral.AnyPart] = []
    for place, block in enumerate(content):
        reader = readers.get(type(block))
        if reader is None:
            raise _UnusualError
        parts.append(reader(block, f"{where}.{place}"))
    if len(parts) > 1 and role is _USER:
        parts.sort(key=_comes_after_results)
    return neutral.Message(role=role, parts=tuple(parts), path=path)


def _comes_after_results(part: neutral.AnyPart) -> bool:
    return type(part) is not neutral.ToolResult


def _text(block: _Text, path: str) -> neutral.Text:
    text, mark = unread(block.text), block.cache_control
    if text is None or block.citations is not wire.NOTHING:
        raise _UnusualError
    return neutral.Text(text=text, path=path, cache=cache_mark(mark) if mark else None)


def _thinking(block: _Thinking, path: str) -> neutral.Thinking:
    return neutral.Thinking(text=block.thinking, signature=block.signature or None, path=path)


def _redacted(block: _Redacted, path: str) -> neutral.RedactedThinking:
    return neutral.RedactedThinking(data=block.data, path=path)


def _call(block: _Call, path: str) -> neutral.ToolCall:
    arguments, mark = str(block.input, "utf-8"), block.cache_control
    if arguments[0] != "{":
        raise _UnusualError
    return neutral.ToolCall(
        id=block.id,
        name=block.name,
        arguments=arguments,
        path=path,
        cache=cache_mark(mark) if mark else None,
    )


def _result(block: _Result, path: str) -> neutral.ToolResult:
    where, mark = path + ".content", block.cache_control
    text = unread(block.content)
    if text:
        content: tuple[neutral.Text, ...] = (neutral.Text(text=text, path=where),)
    else:
        content = _texts(block.content, where)
    return neutral.ToolResult(
        call_id=block.tool_use_id,
        content=content,
        is_error=block.is_error is True,
        path=path,
        cache=cache_mark(mark) if mark else None,
    )


def _texts(content: msgspec.Raw, path: str) -> tuple[neutral.Text, ...]:
    if content in _SILENT:
        return ()
    blocks = _decode_texts(content)
    return tuple([_text(block, f"{path}.{place}") for place, block in enumerate(blocks)])


_Reader: TypeAlias = Callable[[Any, str], neutral.AnyPart]
_SPEAKERS: Mapping[str, tuple[neutral.Role, Mapping[type, _Reader]]] = {
    "user": (_USER, {_Text: _text, _Result: _result}),
    "assistant": (
        _ASSISTANT,
        {_Text: _text, _Call: _call, _Thinking: _thinking, _Redacted: _redacted},
    ),
}
