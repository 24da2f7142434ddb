"""Whole replies, read from an upstream and written for a client."""

import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.collect import collect
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.factories.anthropic_wire import judged_message, read_stream, wire

CACHED = Usage(
    input=12, cache_read=4000, cache_write_5m=100, cache_write_1h=200, output=60, reasoning=30
)


def decode(**fields) -> neutral.Reply:
    message = {"id": "m", "model": "c", "content": [], "stop_reason": "end_turn", **fields}
    reply = ANTHROPIC_MESSAGES.decode_reply(msgspec.json.encode(message))
    assert isinstance(reply, neutral.Reply)
    return reply


def encode(*parts: neutral.AssistantPart, **fields):
    stop = fields.pop("stop", neutral.StopReason.END)
    choice = neutral.Choice(parts=parts, stop=stop, stop_sequence=fields.pop("sequence", None))
    reply = neutral.Reply(id="m", model="c", choices=(choice,), **fields)
    return judged_message(ANTHROPIC_MESSAGES.encode_reply(reply))


def test_a_whole_message_is_read():
    reply = ANTHROPIC_MESSAGES.decode_reply(wire("message.json"))

    assert reply == neutral.Reply(
        id="msg_01ThinkTools",
        model="claude-opus-4-5",
        choices=(
            neutral.Choice(
                parts=(
                    neutral.Thinking(
                        text="Two cities, two calls. 🧭", signature="EqoBCkgIARABGAIiQL=="
                    ),
                    neutral.RedactedThinking(data="EmwKAhgBEgy3va3="),
                    neutral.Text(text="Checking “both” — één moment."),
                    neutral.ToolCall(
                        id="toolu_01A", name="get_weather", arguments='{"city": "Paris"}'
                    ),
                    neutral.ToolCall(id="toolu_01B", name="get_time", arguments="{}"),
                ),
                stop=neutral.StopReason.TOOL_CALLS,
            ),
        ),
        usage=CACHED,
        service_tier="priority",
    )


def test_the_same_message_streamed_is_the_same_reply():
    streamed = collect(read_stream(wire("thinking_tools.sse")))

    assert streamed == ANTHROPIC_MESSAGES.decode_reply(wire("message.json"))


STOPS = {
    "end_turn": neutral.StopReason.END,
    "max_tokens": neutral.StopReason.LENGTH,
    "stop_sequence": neutral.StopReason.STOP_SEQUENCE,
    "tool_use": neutral.StopReason.TOOL_CALLS,
    "pause_turn": neutral.StopReason.PAUSE,
    "refusal": neutral.StopReason.REFUSAL,
    "model_context_window_exceeded": neutral.StopReason.CONTEXT_WINDOW,
}


@pytest.mark.parametrize(("word", "stop"), STOPS.items())
def test_stop_reasons_translate_both_ways(word, stop):
    assert decode(stop_reason=word).choices[0].stop is stop
    assert encode(stop=stop)["stop_reason"] == word


def test_a_content_filter_is_a_refusal_to_an_anthropic_client():
    assert encode(stop=neutral.StopReason.CONTENT_FILTER)["stop_reason"] == "refusal"


@pytest.mark.parametrize("word", [None, "novelty"])
def test_an_unknown_stop_reason_is_told_from_the_content(word):
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}

    assert decode(stop_reason=word).choices[0].stop is neutral.StopReason.END
    assert decode(stop_reason=word, content=[call]).choices[0].stop is neutral.StopReason.TOOL_CALLS


def test_the_stop_sequence_is_kept():
    assert decode(stop_reason="stop_sequence", stop_sequence="X").choices[0].stop_sequence == "X"
    assert encode(stop=neutral.StopReason.STOP_SEQUENCE, sequence="X")["stop_sequence"] == "X"


def test_a_refusals_explanation_is_a_refusal_part():
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}

    reply = decode(stop_reason="refusal", stop_details=details)

    assert reply.choices[0].parts == (neutral.Refusal(text="Not this."),)


def test_a_refusal_is_visible_text_under_its_stop_reason():
    message = encode(neutral.Refusal(text="No."))

    assert message["content"] == [{"type": "text", "text": "No."}]
    assert message["stop_reason"] == "refusal"
    assert message["stop_details"]["type"] == "refusal"


def test_empty_blocks_and_the_vendors_own_tools_leave_no_part():
    reply = decode(
        content=[
            {"type": "text", "text": ""},
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"text": 5}]},
            {"type": "future", "text": 5, "title": {"a": 1}},
            {"type": "text", "text": "found", "citations": [{"type": "web", "url": "u"}]},
            {"type": "thinking", "thinking": "", "signature": "omitted"},
        ]
    )

    assert reply.choices[0].parts == (
        neutral.Text(text="found"),
        neutral.Thinking(text="", signature="omitted"),
    )


def test_a_known_block_with_a_wrong_type_is_a_bad_reply():
    with pytest.raises(BadReplyError):
        decode(content=[{"type": "text", "text": 5}])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content":5}', b"\xff"])
def test_what_is_no_message_is_a_bad_reply(body):
    with pytest.raises(BadReplyError):
        ANTHROPIC_MESSAGES.decode_reply(body)


def test_an_error_in_a_200_is_a_failure():
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}'

    failure = neutral.Failed(message="Busy", kind="overloaded_error", status=529)
    assert ANTHROPIC_MESSAGES.decode_reply(body) == failure
    assert ANTHROPIC_MESSAGES.pass_reply(body, None).failure == failure


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Usage(input=3, output=4)),
        (
            {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 50},
            Usage(input=3, output=4, cache_write_5m=50),
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_1h_input_tokens": 20},
            },
            Usage(input=3, output=4, cache_write_5m=30, cache_write_1h=20),
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "output_tokens_details": {"thinking_tokens": 9},
            },
            Usage(input=3, reasoning=4),
        ),
        (
            {
                "input_tokens": 23000,
                "output_tokens": 1000,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 180000,
                        "cache_read_input_tokens": 9,
                        "output_tokens": 3500,
                    },
                    {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
                ],
            },
            Usage(input=203000, cache_read=9, output=4500),
        ),
        ({"input_tokens": -3, "output_tokens": -4}, Usage()),
        ({}, None),
        (None, None),
    ],
)
def test_usage_classes_are_disjoint_and_never_negative(report, usage):
    assert decode(usage=report).usage == usage


def test_usage_is_written_as_the_vendor_counts():
    usage = encode(usage=CACHED, service_tier="default")["usage"]

    assert usage == {
        "input_tokens": 12,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 4000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 90,
        "output_tokens_details": {"thinking_tokens": 30},
        "service_tier": "standard",
    }


@pytest.mark.parametrize("tier", ["flex", "scale", None])
def test_a_tier_the_dialect_lacks_is_not_written(tier):
    assert "service_tier" not in encode(usage=CACHED, service_tier=tier)["usage"]


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ("", {}),
        ('{"a":1}', {"a": 1}),
        ('{"a":', {"INVALID_JSON": '{"a":'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_tool_arguments_are_never_lost(arguments, wire):
    message = encode(neutral.ToolCall(id="t", name="f", arguments=arguments))

    assert message["content"] == [{"type": "tool_use", "id": "t", "name": "f", "input": wire}]


def test_unsigned_thinking_has_an_empty_signature():
    message = encode(neutral.Thinking(text="hm"), neutral.RedactedThinking(data="d"))

    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "redacted_thinking", "data": "d"},
    ]


def test_a_part_no_block_can_say_is_a_bad_reply():
    with pytest.raises(BadReplyError, match="audio"):
        encode(neutral.Audio(data="x", format="wav"))


def test_a_reply_without_choices_is_an_empty_message():
    reply = neutral.Reply(id="m", model="c", choices=())

    assert judged_message(ANTHROPIC_MESSAGES.encode_reply(reply))["content"] == []


def test_a_passing_reply_keeps_its_bytes_and_is_read_for_usage():
    body = wire("message.json")

    seen = ANTHROPIC_MESSAGES.pass_reply(body, None)

    assert seen.body is body
    assert (seen.usage, seen.service_tier, seen.failure) == (CACHED, "priority", None)


def test_a_passing_reply_is_renamed_when_asked():
    seen = ANTHROPIC_MESSAGES.pass_reply(wire("message.json"), "mine/alias")

    assert seen.body == wire("message.json").strip().replace(
        b'"model":"claude-opus-4-5"', b'"model":"mine/alias"'
    )


def test_a_passing_reply_that_is_no_json_is_a_bad_reply():
    with pytest.raises(BadReplyError):
        ANTHROPIC_MESSAGES.pass_reply(b"<html>", None)
