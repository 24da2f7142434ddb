"""Whole replies: Anthropic's message object to the neutral form and back.

Follows https://platform.claude.com/docs/en/api/messages and, for stop reasons,
https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons.
Blocks of the vendor's own tools are left out: no client of another dialect can have asked for
them. A refusal's explanation becomes a `Refusal` part; written for a client, a refusal is text,
visible in every client, under the stop reason `refusal`.
"""

from typing import Any, assert_never

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import wire
from meterway.protocols.chat.anthropic_messages.errors import failed
from meterway.protocols.chat.anthropic_messages.usage import (
    decode_usage,
    encode_usage,
    told_service,
)
from meterway.protocols.chat.codec import Seen
from meterway.protocols.errors import BadReplyError

_STOPS = {
    "end_turn": neutral.StopReason.END,
    "max_tokens": neutral.StopReason.LENGTH,
    "stop_sequence": neutral.StopReason.STOP_SEQUENCE,
    "tool_use": neutral.StopReason.TOOL_CALLS,
    "pause_turn": neutral.StopReason.PAUSE,
    "refusal": neutral.StopReason.REFUSAL,
    "model_context_window_exceeded": neutral.StopReason.CONTEXT_WINDOW,
}
_WIRE_STOPS = {stop: word for word, stop in _STOPS.items()} | {
    neutral.StopReason.CONTENT_FILTER: "refusal"
}
_REFUSAL_DETAILS = {"type": "refusal", "category": None, "explanation": None}
_reply_decoder = msgspec.json.Decoder(wire.Reply)
_blocks_decoder = msgspec.json.Decoder(list[wire.Block])
_raws_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Kind(msgspec.Struct):
    type: str = ""


class _Head(msgspec.Struct):
    """What a passing reply is read for."""

    type: str = "message"
    usage: wire.Usage | None = None
    error: wire.Error | None = None


_head_decoder = msgspec.json.Decoder(_Head)


def decode_reply(body: bytes) -> neutral.Reply | neutral.Failed:
    """Read a whole reply; `Failed` where a 200 carries an error. Raises `BadReplyError`."""
    try:
        reply = _reply_decoder.decode(body)
        if reply.type == "error":
            return failed(reply.error)
        blocks = _reply_blocks(reply.content)
    except wire.UNREADABLE as error:
        raise _not_a_message(error) from None
    parts = [part for block in blocks if (part := _part(block)) is not None]
    calls = neutral.ToolCall in {type(part) for part in parts}
    if explanation := reply.stop_details and reply.stop_details.explanation:
        parts.append(neutral.Refusal(text=explanation))
    choice = neutral.Choice(
        parts=tuple(parts),
        stop=decode_stop(reply.stop_reason, calls=calls),
        stop_sequence=reply.stop_sequence,
    )
    return neutral.Reply(
        id=reply.id,
        model=reply.model,
        choices=(choice,),
        usage=decode_usage(reply.usage),
        service_tier=told_service(reply.usage),
    )


def _not_a_message(error: Exception) -> BadReplyError:
    return BadReplyError(f"The upstream's reply is not an Anthropic message: {error}.")


def _reply_blocks(raw: msgspec.Raw) -> list[wire.Block]:
    if not raw:
        raise msgspec.ValidationError("Object missing required field `content`")
    try:
        return _blocks_decoder.decode(raw)
    except msgspec.ValidationError:  # perhaps a block nobody here reads; its own kinds must fit
        return [
            msgspec.json.decode(one, type=wire.Block)
            for one in _raws_decoder.decode(raw)
            if msgspec.json.decode(one, type=_Kind).type in READ_BLOCKS
        ]


READ_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


def decode_stop(word: str | None, *, calls: bool) -> neutral.StopReason:
    """Read a stop reason; unknown or missing ones are told from whether tools were called."""
    usual = neutral.StopReason.TOOL_CALLS if calls else neutral.StopReason.END
    return _STOPS.get(word, usual) if word else usual


def _part(block: wire.Block) -> neutral.AssistantPart | None:
    """Return the part a block says, None for empty ones and those no neutral part stands for."""
    match block.type:
        case "text":
            return neutral.Text(text=block.text) if block.text else None
        case "thinking":
            if not block.thinking and not block.signature:
                return None
            return neutral.Thinking(text=block.thinking or "", signature=block.signature or None)
        case "redacted_thinking":
            return neutral.RedactedThinking(data=block.data or "")
        case "tool_use":
            arguments = bytes(block.input).decode() if wire.given(block.input) else "{}"
            return neutral.ToolCall(id=block.id or "", name=block.name or "", arguments=arguments)
        case _:
            return None


def encode_reply(reply: neutral.Reply) -> bytes:
    """Write a whole reply for a client; of several choices the first, as there is room for one.

    Raises `BadReplyError` where it holds a part the dialect has no block for.
    """
    choice = reply.choices[0] if reply.choices else neutral.Choice()
    content = [block for part in choice.parts if (block := _block(part)) is not None]
    refused = any(isinstance(part, neutral.Refusal) for part in choice.parts)
    message = {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        **stopped(choice.stop, choice.stop_sequence, refused=refused),
        "usage": encode_usage(reply.usage, reply.service_tier),
    }
    return json.encode(message)


def stopped(stop: neutral.StopReason, sequence: str | None, *, refused: bool) -> dict[str, Any]:
    """Write the fields that say why a message ended."""
    word = "refusal" if refused else _WIRE_STOPS[stop]
    fields: dict[str, Any] = {"stop_reason": word, "stop_sequence": sequence}
    if word == "refusal":
        fields["stop_details"] = _REFUSAL_DETAILS
    return fields


def _block(part: neutral.AssistantPart) -> dict[str, Any] | None:
    match part:
        case neutral.Text(text=text) | neutral.Refusal(text=text):
            return {"type": "text", "text": text} if text else None
        case neutral.Thinking(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature or ""}
        case neutral.RedactedThinking(data=data):
            return {"type": "redacted_thinking", "data": data}
        case neutral.ToolCall(id=id_, name=name, arguments=arguments):
            return {"type": "tool_use", "id": id_, "name": name, "input": _input(arguments)}
        case neutral.Image() | neutral.Document() | neutral.Audio() | neutral.Foreign():
            kind = part.kind if isinstance(part, neutral.Foreign) else type(part).__name__.lower()
            raise BadReplyError(
                f"The upstream's reply holds a part an Anthropic client cannot be told: {kind}."
            )
        case _:
            assert_never(part)


def _input(arguments: str) -> Any:
    """Return tool arguments as an object; text that is none stands under `INVALID_JSON`.

    The wrapper is the one Anthropic recommends for handing broken input on:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    raw = arguments.strip().encode() or b"{}"
    try:
        _raw_object.decode(raw)
    except wire.UNREADABLE:
        return {"INVALID_JSON": arguments}
    return msgspec.Raw(raw)


def pass_reply(body: bytes, model: str | None) -> Seen:
    """Read a reply that passes through; `model`, when given, replaces the one inside."""
    try:
        head = _head_decoder.decode(body)
        if head.type == "error":
            return Seen(body=body, failure=failed(head.error))
        if model is not None:
            message = _raw_object.decode(body)
            message["model"] = json.raw(model)
            body = json.encode(message)
    except wire.UNREADABLE as error:
        raise _not_a_message(error) from None
    told = told_service(head.usage)
    return Seen(body=body, usage=decode_usage(head.usage), service_tier=told)
