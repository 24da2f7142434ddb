"""Anthropic wire bodies for tests: requests, event streams, and the SDK's judgement."""

from pathlib import Path
from typing import Any

import msgspec
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES

WIRE = Path(__file__).parents[1] / "wire" / "anthropic_messages"
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def wire(name: str) -> bytes:
    return (WIRE / name).read_bytes()


def body(**fields: Any) -> json.RawObject:
    """A request's top level: the three mandatory fields, overridden or completed by `fields`."""
    whole = {
        "model": "claude-opus-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        **fields,
    }
    return json.decode_top(msgspec.json.encode({k: v for k, v in whole.items() if v is not ...}))


def user(*content: dict[str, Any] | str) -> dict[str, Any]:
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
    return {"role": "user", "content": blocks}


def assistant(*content: dict[str, Any] | str) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def decode(**fields: Any) -> neutral.Request:
    return ANTHROPIC_MESSAGES.decode_request(body(**fields))


def read_stream(*chunks: bytes) -> list[neutral.Event]:
    decoder = ANTHROPIC_MESSAGES.stream_decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def write_stream(*events: neutral.Event, request: neutral.Request | None = None) -> bytes:
    encoder = ANTHROPIC_MESSAGES.stream_encoder(request or decode())
    return b"".join(encoder.encode(event) for event in events)


def wire_events(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of each event; names must equal types."""
    events = []
    for block in sse.Splitter().feed(stream):
        parsed = sse.parse(block)
        assert parsed is not None
        event = msgspec.json.decode(parsed.data)
        assert parsed.name.decode() == event["type"]
        events.append(event)
    return events


def judged_stream(stream: bytes) -> list[dict[str, Any]]:
    """The events, each valid for the official SDK, in an order its accumulator accepts."""
    events = wire_events(stream)
    for event in events:
        if event["type"] not in ("ping", "error"):
            _EVENT.validate_python(event)
    check_order(events)
    return events


def check_order(events: list[dict[str, Any]]) -> None:
    """One message_start first; blocks numbered without gaps, one open at a time; one stop."""
    assert events[0]["type"] == "message_start"
    opened, blocks = None, 0
    for event in events[1:]:
        match event["type"]:
            case "content_block_start":
                assert opened is None
                assert event["index"] == blocks
                opened, blocks = event["index"], blocks + 1
            case "content_block_delta":
                assert event["index"] == opened
            case "content_block_stop":
                assert event["index"] == opened
                opened = None
            case "message_delta" | "message_stop":
                assert opened is None
            case other:
                assert other in ("ping", "error")


def judged_message(raw: bytes) -> dict[str, Any]:
    """The message, valid for the official SDK."""
    message: dict[str, Any] = msgspec.json.decode(raw)
    Message.model_validate(message)
    return message
