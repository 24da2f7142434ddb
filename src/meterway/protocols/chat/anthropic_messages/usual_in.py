"""Messages of the usual shapes, read in one pass: texts, thinking, tool calls and their results.

Decoding straight into a union by `type` costs a third of finding out block by block what each is,
and that is most of what translating an agent's long history costs. Whatever is out of the usual
(images, foreign blocks, fields of other types, roles that may not say a block) is left to
`content_in`, which also words the errors.
"""

from typing import Literal, TypeAlias, assert_never

import msgspec

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.content_in import cache_mark

_ROLES = {"user": neutral.Role.USER, "assistant": neutral.Role.ASSISTANT}


class _Text(msgspec.Struct, tag="text"):
    text: str
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
    content: str | list[_Text] | None = None
    is_error: bool | None = None
    cache_control: wire.CacheControl | None = None


class _Message(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[_Text | _Call | _Result | _Thinking | _Redacted]


_Block: TypeAlias = _Text | _Call | _Result | _Thinking | _Redacted
_decode = msgspec.json.Decoder(list[_Message]).decode


class _UnusualError(Exception):
    """Something here needs the thorough reading."""


def read_usual(raw: msgspec.Raw) -> tuple[neutral.Message, ...] | None:
    """Read `messages`; None where anything in them is out of the usual, or wrong."""
    try:
        return (
            tuple(
                [
                    _message(message, f"messages.{number}")
                    for number, message in enumerate(_decode(raw))
                ]
            )
            or None
        )
    except (_UnusualError, *wire.UNREADABLE):
        return None


def _message(message: _Message, path: str) -> neutral.Message:
    content, where = message.content, f"{path}.content"
    if isinstance(content, str):
        parts: tuple[neutral.AnyPart, ...] = (neutral.Text(text=content, path=where),)
        return neutral.Message(role=_ROLES[message.role], parts=parts, path=path)
    if message.role == "assistant":
        said = [_said(block, f"{where}.{place}") for place, block in enumerate(content)]
        return neutral.Message(role=neutral.Role.ASSISTANT, parts=tuple(said), path=path)
    asked = [_asked(block, f"{where}.{place}") for place, block in enumerate(content)]
    if len(asked) > 1:
        asked.sort(key=_comes_after_results)
    return neutral.Message(role=neutral.Role.USER, parts=tuple(asked), path=path)


def _comes_after_results(part: neutral.Text | neutral.ToolResult) -> bool:
    return type(part) is not neutral.ToolResult


def _said(block: _Block, path: str) -> neutral.AnyPart:
    match block:
        case _Text():
            return _text(block, path)
        case _Call():
            arguments = str(block.input, "utf-8")
            if not arguments.startswith("{"):
                raise _UnusualError
            return neutral.ToolCall(
                id=block.id,
                name=block.name,
                arguments=arguments,
                path=path,
                cache=cache_mark(block.cache_control),
            )
        case _Thinking():
            signature = block.signature or None
            return neutral.Thinking(text=block.thinking, signature=signature, path=path)
        case _Redacted():
            return neutral.RedactedThinking(data=block.data, path=path)
        case _Result():
            raise _UnusualError
        case _:
            assert_never(block)


def _asked(block: _Block, path: str) -> neutral.Text | neutral.ToolResult:
    if isinstance(block, _Text):
        return _text(block, path)
    if not isinstance(block, _Result):
        raise _UnusualError
    return neutral.ToolResult(
        call_id=block.tool_use_id,
        content=_texts(block.content or "", f"{path}.content"),
        is_error=bool(block.is_error),
        path=path,
        cache=cache_mark(block.cache_control),
    )


def _texts(content: str | list[_Text], path: str) -> tuple[neutral.Text, ...]:
    if isinstance(content, str):
        return (neutral.Text(text=content, path=path),) if content else ()
    return tuple([_text(block, f"{path}.{place}") for place, block in enumerate(content)])


def _text(block: _Text, path: str) -> neutral.Text:
    if block.citations is not wire.NOTHING:
        raise _UnusualError
    return neutral.Text(text=block.text, path=path, cache=cache_mark(block.cache_control))
