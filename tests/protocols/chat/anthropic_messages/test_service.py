"""What a reply says of tier, speed and place, whichever way it is read."""

import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages.codec import AnthropicMessages
from meterway.protocols.chat.codec import Facts

CODEC = AnthropicMessages()
CASES = [
    ({}, None),
    ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, "default"),
    ({"service_tier": "standard", "inference_geo": "not_available"}, "default"),
    ({"service_tier": "batch"}, "batch"),
    ({"service_tier": "standard", "speed": "fast", "inference_geo": None}, "fast"),
    ({"service_tier": "standard", "speed": "fast", "inference_geo": "us"}, "fast_us"),
    ({"service_tier": "priority", "inference_geo": "us"}, "priority_us"),
]


def _message(facts: dict[str, object]) -> dict[str, object]:
    usage = {"input_tokens": 1, "output_tokens": 1} | facts
    return {"type": "message", "id": "m", "model": "c", "content": [], "usage": usage}


def _start(facts: dict[str, object]) -> bytes:
    event = {"type": "message_start", "message": _message(facts)}
    return b"event: message_start\ndata: " + json.encode(event) + b"\n\n"


@pytest.mark.parametrize(("facts", "service"), CASES)
def test_whole_replies_tell_what_changes_their_price(facts, service):
    body = json.encode(_message(facts))

    decoded = CODEC.decode_reply(body)

    assert isinstance(decoded, neutral.Reply)
    assert decoded.service_tier == service
    assert CODEC.pass_reply(body, None).service_tier == service


@pytest.mark.parametrize(("facts", "service"), CASES)
def test_streams_tell_what_changes_their_price(facts, service):
    reader = CODEC.stream_reader(Facts(model="c"), None)

    reader.feed(_start(facts))
    [opened, *_] = CODEC.stream_decoder().feed(_start(facts))

    assert reader.service_tier == service
    assert isinstance(opened, neutral.Opened)
    assert opened.service_tier == service
