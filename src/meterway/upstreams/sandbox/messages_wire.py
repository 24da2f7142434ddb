"""Writes replies as Anthropic's messages: whole, as a stream, and as an error.

Written by hand from the API reference, apart from the product's codecs:
https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from meterway.kit.ids import random_text
from meterway.upstreams.sandbox.pieces import compact, fragments, words
from meterway.upstreams.sandbox.types import Ask, Fault, Script, Spent, Stop

_STOPS = {
    Stop.END: "end_turn",
    Stop.SEQUENCE: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.TOOLS: "tool_use",
    Stop.REFUSAL: "refusal",
}


def whole(script: Script, ask: Ask, spent: Spent) -> bytes:
    """Return a whole `message`."""
    message = _message(ask) | _end(script)
    message["content"] = _blocks(script)
    if script.usage:
        message["usage"] = _usage(spent.input, spent.output)
    return compact(message)


def stream(script: Script, ask: Ask, spent: Spent) -> Iterator[bytes]:
    """Yield the events of a stream, from `message_start` to `message_stop`."""
    opened = _message(ask)
    if script.usage:
        opened["usage"] = _usage(spent.input, 1)
    yield _event("message_start", message=opened)
    for index, block in enumerate(_blocks(script)):
        yield _event("content_block_start", index=index, content_block=_empty(block))
        if not index:
            yield _event("ping")
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ended: dict[str, Any] = {"delta": _end(script)}
    if script.usage:
        ended["usage"] = {"output_tokens": spent.output}
    yield _event("message_delta", **ended)
    yield _event("message_stop")


def error_event(message: str) -> bytes:
    """Return the event that ends a stream with an error."""
    return _event("error", error={"type": "api_error", "message": message})


def failure(fault: Fault) -> bytes:
    """Return the body of an error answer."""
    return compact(
        {
            "type": "error",
            "error": {"type": fault.anthropic, "message": fault.message},
            "request_id": _id("req_"),
        }
    )


def _message(ask: Ask) -> dict[str, Any]:
    return {
        "id": _id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _end(script: Script) -> dict[str, Any]:
    end: dict[str, Any] = {"stop_reason": _STOPS[script.stop], "stop_sequence": script.sequence}
    if script.stop is Stop.REFUSAL:
        end["stop_details"] = {"type": "refusal", "category": None, "explanation": script.refusal}
    return end


def _usage(read: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": written,
        "service_tier": "standard",
    }


def _blocks(script: Script) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if script.thinking:
        blocks.append(
            {
                "type": "thinking",
                "thinking": script.thinking,
                "signature": signature(script.thinking),
            }
        )
    if script.text:
        blocks.append({"type": "text", "text": script.text})
    blocks.extend(
        {
            "type": "tool_use",
            "id": _id("toolu_"),
            "name": call.name,
            "input": json.loads(call.arguments),
        }
        for call in script.calls
    )
    return blocks


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            return {**block, "thinking": "", "signature": ""}
        case "text":
            return {**block, "text": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            for piece in words(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for piece in words(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for fragment in fragments(json.dumps(block["input"], ensure_ascii=False)):
                yield {"type": "input_json_delta", "partial_json": fragment}


def signature(thinking: str) -> str:
    """Return the sandbox's signature of its own thinking."""
    return base64.b64encode(hashlib.sha256(b"sandbox" + thinking.encode()).digest()).decode()


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + compact({"type": kind, **fields}) + b"\n\n"


def _id(prefix: str) -> str:
    return f"{prefix}01{random_text(22)}"
