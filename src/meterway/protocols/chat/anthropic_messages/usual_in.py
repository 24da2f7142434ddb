"""Messages of the usual shapes, read in one pass: texts, thinking, tool calls and their results.

Decoding straight into unions by `role` and `type` costs a third of finding out block by block
what each is, and texts are not read at all. Whatever is out of the usual (images, foreign blocks,
fields of other types, roles that may not say a block) is left to `content_in`, which also words
the errors. Every block of an agent's long history passes here, so the loops call hardly anything.
"""

from typing import TypeAlias

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.content_in import cache_mark
from meterway.protocols.chat.wording import unread

_USER, _ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
_QUOTE, _EMPTY = ord('"'), len('""')
_SILENT = (wire.NULL, wire.Raw(b'""'))


class _Text(msgspec.Struct, tag="text", gc=False):
    text: msgspec.Raw
    citations: msgspec.Raw = wire.NOTHING
    cache_control: wire.CacheControl | None = None


class _Thinking(msgspec.Struct, tag="thinking", gc=False):
    thinking: str
    signature: str | None = None


class _Redacted(msgspec.Struct, tag="redacted_thinking", gc=False):
    data: str


class _Call(msgspec.Struct, tag="tool_use", gc=False):
    id: str
    name: str
    input: msgspec.Raw
    cache_control: wire.CacheControl | None = None


class _Result(msgspec.Struct, tag="tool_result", gc=False):
    tool_use_id: str
    content: msgspec.Raw = wire.NULL
    is_error: bool | None = None
    cache_control: wire.CacheControl | None = None


_Asked: TypeAlias = str | list[_Text | _Result]
_Said: TypeAlias = str | list[_Text | _Call | _Thinking | _Redacted]
_Parts: TypeAlias = tuple[neutral.AnyPart, ...]


class _UserTurn(msgspec.Struct, tag_field="role", tag="user", gc=False):
    content: _Asked


class _AssistantTurn(msgspec.Struct, tag_field="role", tag="assistant", gc=False):
    content: _Said


_decode = msgspec.json.Decoder(list[_UserTurn | _AssistantTurn]).decode
_decode_texts = msgspec.json.Decoder(list[_Text]).decode


class _UnusualError(Exception):
    """Something here needs the thorough reading."""


def read_usual(raw: msgspec.Raw) -> tuple[neutral.Message, ...] | None:
    """Read `messages`; None where anything in them is out of the usual, or wrong."""
    read: list[neutral.Message] = []
    try:
        for number, turn in enumerate(_decode(raw)):
            path = f"messages.{number}"
            if isinstance(turn, _UserTurn):
                role, parts = _USER, _asked(turn.content, path + ".content")
            else:
                role, parts = _ASSISTANT, _said(turn.content, path + ".content")
            read.append(neutral.Message(role=role, parts=parts, path=path))
    except (_UnusualError, *wire.UNREADABLE):
        return None
    return tuple(read) or None


def _asked(content: _Asked, path: str) -> _Parts:
    """Read what a user's turn holds, tool results first."""
    if isinstance(content, str):
        return (neutral.Text(text=content, path=path),)
    texts: list[neutral.AnyPart] = []
    results: list[neutral.AnyPart] = []
    for place, block in enumerate(content):
        where = f"{path}.{place}"
        if isinstance(block, _Text):
            texts.append(_text(block, where))
            continue
        found, inside = block.content, where + ".content"
        plain = memoryview(found)[0] == _QUOTE and len(found) > _EMPTY
        result = neutral.ToolResult(
            call_id=block.tool_use_id,
            content=(neutral.Text(text=found, path=inside),) if plain else _texts(found, inside),
            is_error=block.is_error is True,
            path=where,
            cache=None if block.cache_control is None else cache_mark(block.cache_control),
        )
        results.append(result)
    return (*results, *texts) if texts else tuple(results)


def _said(content: _Said, path: str) -> _Parts:
    """Read what an assistant's turn holds."""
    if isinstance(content, str):
        return (neutral.Text(text=content, path=path),)
    parts: list[neutral.AnyPart] = []
    for place, block in enumerate(content):
        where = f"{path}.{place}"
        if isinstance(block, _Call):
            arguments = str(block.input, "utf-8")
            if arguments[0] != "{":
                raise _UnusualError
            parts.append(
                neutral.ToolCall(
                    id=block.id,
                    name=block.name,
                    arguments=arguments,
                    path=where,
                    cache=None if block.cache_control is None else cache_mark(block.cache_control),
                )
            )
        elif isinstance(block, _Text):
            parts.append(_text(block, where))
        elif isinstance(block, _Thinking):
            signature = block.signature or None
            parts.append(neutral.Thinking(text=block.thinking, signature=signature, path=where))
        else:
            parts.append(neutral.RedactedThinking(data=block.data, path=where))
    return tuple(parts)


def _texts(content: msgspec.Raw, path: str) -> tuple[neutral.Text, ...]:
    if content in _SILENT:
        return ()
    blocks = _decode_texts(content)
    return tuple([_text(block, f"{path}.{place}") for place, block in enumerate(blocks)])


def _text(block: _Text, path: str) -> neutral.Text:
    text, mark = unread(block.text), block.cache_control
    if text is None or block.citations is not wire.NOTHING:
        raise _UnusualError
    cache = None if mark is None else cache_mark(mark)
    return neutral.Text(text=text, path=path, cache=cache)
