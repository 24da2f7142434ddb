"""Tests of the bodies and frames the benchmark sends."""

import json

import pytest

from meterway.bench import payloads
from meterway.bench.types import Dialect, Size

WIDTHS = {Size.SMALL: (400, 600), Size.LARGE: (90_000, 105_000)}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("size", Size)
def test_request_is_json_of_the_promised_size(dialect, size):
    body = payloads.request_body(dialect, "bench-model", size, stream=True)

    least, most = WIDTHS[size]
    assert least <= len(body) <= most
    assert json.loads(body)["model"] == "bench-model"
    assert json.loads(body)["stream"] is True


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("size", Size)
def test_reply_is_json_of_the_promised_size_with_usage(dialect, size):
    body = payloads.whole_reply(dialect, size)

    least, most = WIDTHS[size]
    assert least <= len(body) <= most
    assert json.loads(body)["usage"]


def test_request_without_stream_has_no_stream_field():
    body = payloads.request_body(Dialect.OPENAI, "m", Size.SMALL)

    assert "stream" not in json.loads(body)


@pytest.mark.parametrize("dialect", Dialect)
def test_bodies_are_the_same_every_time(dialect):
    one = payloads.request_body(dialect, "m", Size.LARGE)
    other = payloads.request_body(dialect, "m", Size.LARGE)

    assert one == other


def test_every_tool_call_of_the_history_is_answered():
    openai = json.loads(payloads.request_body(Dialect.OPENAI, "m", Size.LARGE))
    anthropic = json.loads(payloads.request_body(Dialect.ANTHROPIC, "m", Size.LARGE))

    calls = [c["id"] for m in openai["messages"] for c in m.get("tool_calls", ())]
    results = [m["tool_call_id"] for m in openai["messages"] if m["role"] == "tool"]
    blocks = [b for m in anthropic["messages"][1:] for b in m["content"]]
    used = [b["id"] for b in blocks if b["type"] == "tool_use"]
    returned = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
    assert calls == results
    assert used == returned
    assert len(calls) == len(used) > 10
    assert len(set(calls)) == len(calls)


def test_cold_bodies_share_no_message():
    one = json.loads(payloads.cold_count_body("m", 5_000))
    other = json.loads(payloads.cold_count_body("m", 10_000))

    texts = [
        {b["content"] for m in body["messages"][1:] for b in m["content"] if "content" in b}
        for body in (one, other)
    ]
    assert one["system"] != other["system"]
    assert texts[0].isdisjoint(texts[1])


def test_counted_bodies_differ_in_the_last_message_only():
    one = json.loads(payloads.count_body("m", "first"))
    other = json.loads(payloads.count_body("m", "second"))

    assert one["messages"][:-1] == other["messages"][:-1]
    assert one["messages"][-1] != other["messages"][-1]


@pytest.mark.parametrize("dialect", Dialect)
def test_the_mark_is_in_token_frames_only(dialect):
    mark = payloads.MARK.encode()

    around = payloads.opening_frames(dialect) + payloads.closing_frames(dialect, usage=True)

    assert payloads.token_frame(dialect).count(mark) == 1
    assert mark not in around
    assert payloads.END_MARKS[dialect] in payloads.closing_frames(dialect, usage=False)


def test_a_request_for_a_response_says_the_messages_of_the_chat_request():
    chat = json.loads(payloads.request_body(Dialect.OPENAI, "m", Size.SMALL))
    response = json.loads(payloads.response_body("m", store=True))

    assert response["input"] == chat["messages"]
    assert response["max_output_tokens"] == chat["max_tokens"]
    assert response["store"] is True
