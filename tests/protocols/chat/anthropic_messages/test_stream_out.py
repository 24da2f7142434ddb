"""Streams written for a client, judged by the official SDK's types and by the order it needs."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.factories.anthropic_wire import (
    decode,
    judged_message,
    judged_stream,
    read_stream,
    wire,
    wire_events,
    write_stream,
)

OPENED = neutral.Opened(id="chatcmpl-1", model="gpt-5")
END = neutral.ChoiceEnded(stop=neutral.StopReason.END)
CALLED = neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS)
CLOSED = neutral.Closed()


def text(words, part=0, **fields):
    return neutral.TextDelta(text=words, part=part, **fields)


def opened(part, id_="t"):
    return neutral.ToolCallOpened(id=f"{id_}{part}", name="f", part=part)


def args(part, fragment):
    return neutral.ToolCallDelta(arguments=fragment, part=part)


def blocks_of(stream: bytes) -> list[dict[str, Any]]:
    """The content blocks the stream builds, in order."""
    blocks: list[dict[str, Any]] = []
    for event in judged_stream(stream):
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] += delta["signature"]
                case "input_json_delta":
                    block["json"] += delta["partial_json"]
    return blocks


def test_a_text_stream_is_these_events():
    stream = write_stream(
        OPENED,
        text("Hi"),
        text(" é\n"),
        END,
        neutral.UsageReported(Usage(input=3, output=2)),
        CLOSED,
    )

    assert [
        (e["type"], e.get("index"), e.get("delta", e.get("content_block")))
        for e in judged_stream(stream)
    ][1:] == [
        ("content_block_start", 0, {"type": "text", "text": ""}),
        ("content_block_delta", 0, {"type": "text_delta", "text": "Hi"}),
        ("content_block_delta", 0, {"type": "text_delta", "text": " é\n"}),
        ("content_block_stop", 0, None),
        ("message_delta", None, {"stop_reason": "end_turn", "stop_sequence": None}),
        ("message_stop", None, None),
    ]


def test_message_start_tells_id_model_and_the_usage_known_so_far():
    known = neutral.Opened(id="m", model="c", usage=Usage(input=9, cache_read=1))

    message = judged_stream(write_stream(known, END, CLOSED))[0]["message"]

    assert (message["id"], message["model"], message["content"]) == ("m", "c", [])
    assert message["stop_reason"] is None
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (9, 0)
    assert message["usage"]["cache_read_input_tokens"] == 1


def test_a_tool_block_never_comes_before_message_start():
    stream = write_stream(opened(0), args(0, "{}"), CALLED, CLOSED)

    assert judged_stream(stream)[0]["type"] == "message_start"
    assert judged_stream(stream)[0]["message"]["model"] == "claude-opus-5"


def test_a_stream_that_says_nothing_still_starts_with_message_start():
    events = judged_stream(write_stream(END, CLOSED))

    assert [e["type"] for e in events] == ["message_start", "message_delta", "message_stop"]


def test_arguments_arrive_whole_and_input_starts_empty():
    stream = write_stream(OPENED, opened(0), args(0, '{"a"'), args(0, ":1}"), CALLED, CLOSED)

    (block,) = blocks_of(stream)
    assert (block["type"], block["id"], block["name"], block["input"]) == (
        "tool_use",
        "t0",
        "f",
        {},
    )
    assert block["json"] == '{"a":1}'


def test_usage_reported_after_the_end_is_what_the_client_hears():
    stream = write_stream(
        OPENED, text("a"), END, neutral.UsageReported(Usage(input=3, output=7)), CLOSED
    )

    (delta,) = [e for e in judged_stream(stream) if e["type"] == "message_delta"]
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (3, 7)


def test_the_last_usage_before_the_end_is_held_until_closed():
    stream = write_stream(
        OPENED,
        neutral.UsageReported(Usage(input=3, output=1)),
        text("a"),
        neutral.UsageReported(Usage(input=3, output=2)),
        END,
        CLOSED,
    )

    (delta,) = [e for e in judged_stream(stream) if e["type"] == "message_delta"]
    assert delta["usage"]["output_tokens"] == 2


def test_usage_never_reported_is_zero_and_the_stream_still_whole():
    events = judged_stream(write_stream(OPENED, text("a"), END, CLOSED))

    assert events[-2]["usage"]["output_tokens"] == 0


def test_a_stream_closed_without_an_end_is_closed_in_order():
    events = judged_stream(write_stream(OPENED, text("a"), CLOSED))

    assert [e["type"] for e in events[-3:]] == [
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip


def test_parallel_calls_one_after_the_other_are_streamed_at_once():
    encoder = ANTHROPIC_MESSAGES.stream_encoder(decode())
    for event in (OPENED, text("a"), opened(1), args(1, '{"x":1}')):
        encoder.encode(event)

    assert b'"id":"t2"' in encoder.encode(opened(2))
    assert b"partial_json" in encoder.encode(args(2, '{"y"'))


def test_interleaved_calls_come_out_one_by_one_and_whole():
    stream = write_stream(
        OPENED,
        opened(0), opened(1), opened(2),
        args(1, '{"b"'), args(0, '{"a"'), args(2, "{}"), args(0, ":{}}"), args(1, ":2}"),
        CALLED, CLOSED,
    )  # fmt: skip

    assert [(b["id"], b["json"]) for b in blocks_of(stream)] == [
        ("t0", '{"a":{}}'), ("t1", '{"b":2}'), ("t2", "{}"),
    ]  # fmt: skip


def test_an_interleaved_call_is_told_as_soon_as_the_one_before_is_complete():
    encoder = ANTHROPIC_MESSAGES.stream_encoder(decode())
    for event in (OPENED, opened(0), args(0, '{"a":'), opened(1)):
        encoder.encode(event)
    assert encoder.encode(args(1, "{}")) == b""

    told = encoder.encode(args(0, "1}"))

    assert (
        told.index(b'"index":0}') < told.index(b'"id":"t1"') < told.rindex(b'"partial_json":"{}"')
    )


def test_calls_without_arguments_keep_their_places():
    stream = write_stream(OPENED, opened(0), opened(1), args(1, '{"b":1}'), CALLED, CLOSED)

    assert [(b["id"], b["json"]) for b in blocks_of(stream)] == [("t0", ""), ("t1", '{"b":1}')]


def test_text_after_a_call_waits_for_it_and_text_resumed_opens_a_new_block():
    stream = write_stream(
        OPENED,
        text("a"),
        opened(1),
        args(1, '{"x"'),
        text("b", part=0),
        args(1, ":1}"),
        CALLED,
        CLOSED,
    )

    assert [(b["type"], b.get("text"), b["json"]) for b in blocks_of(stream)] == [
        ("text", "a", ""), ("tool_use", None, '{"x":1}'), ("text", "b", ""),
    ]  # fmt: skip


def test_arguments_cut_by_the_limit_are_told_as_they_came():
    length = neutral.ChoiceEnded(stop=neutral.StopReason.LENGTH)

    (block,) = blocks_of(write_stream(OPENED, opened(0), args(0, '{"a":"b'), length, CLOSED))

    assert block["json"] == '{"a":"b'


@pytest.mark.parametrize(
    "events",
    [
        (args(0, "{}"),),
        (opened(0), args(0, "{}"), opened(1), args(0, "x")),
    ],
)
def test_arguments_of_no_open_call_are_a_bad_reply(events):
    with pytest.raises(BadReplyError):
        write_stream(OPENED, *events)


def test_white_space_after_a_complete_call_is_nothing():
    stream = write_stream(
        OPENED, opened(0), args(0, "{}"), opened(1), args(0, "\n"), CALLED, CLOSED
    )

    assert [block["json"] for block in blocks_of(stream)] == ["{}", ""]


def test_thinking_signed_and_redacted_are_blocks():
    stream = write_stream(
        OPENED,
        neutral.ThinkingDelta(text="hm", part=0),
        neutral.ThinkingSigned(signature="s", part=0),
        neutral.ThinkingRedacted(data="d", part=1),
        neutral.ThinkingSigned(signature="alone", part=2),
        text("a", part=3),
        END,
        CLOSED,
    )

    assert [{k: v for k, v in b.items() if k != "json"} for b in blocks_of(stream)] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "", "signature": "alone"},
        {"type": "text", "text": "a"},
    ]


def test_a_refusal_is_streamed_as_text_under_its_stop_reason():
    stream = write_stream(OPENED, neutral.RefusalDelta(text="No."), END, CLOSED)

    assert blocks_of(stream)[0]["text"] == "No."
    delta = judged_stream(stream)[-2]["delta"]
    assert delta["stop_reason"] == "refusal"
    assert delta["stop_details"]["type"] == "refusal"


def test_an_empty_text_opens_no_block_and_other_choices_are_not_told():
    stream = write_stream(
        OPENED,
        text(""),
        text("x", choice=1),
        neutral.ChoiceEnded(stop=END.stop, choice=1),
        END,
        CLOSED,
    )

    assert blocks_of(stream) == []


def test_a_failure_midway_is_an_error_event():
    failure = neutral.Failed(message="Busy", kind="server_error", status=529)

    events = wire_events(write_stream(OPENED, text("a"), failure))

    assert events[-1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Busy"},
    }


@pytest.mark.parametrize("name", ["thinking_tools", "tool_use", "basic", "message_delta_fields"])
def test_reading_what_was_written_gives_the_same_reply(name):
    events = read_stream(wire(f"{name}.sse"))

    assert collect(read_stream(write_stream(*events))) == collect(events)


words = st.text(min_size=1, max_size=12)
objects = st.dictionaries(words, st.integers() | words, max_size=3)
sayable = st.one_of(
    st.builds(neutral.Text, text=words),
    st.builds(neutral.Thinking, text=words, signature=st.none() | words),
    st.builds(neutral.RedactedThinking, data=words),
    st.builds(
        neutral.ToolCall,
        id=words,
        name=words,
        arguments=objects.map(lambda o: msgspec.json.encode(o).decode()),
    ),
)
counts = st.integers(0, 10**6)
usages = st.none() | st.builds(
    Usage,
    input=counts,
    cache_read=counts,
    cache_write_5m=counts,
    cache_write_1h=counts,
    output=counts,
    reasoning=counts,
)


def replies(stops):
    return st.builds(
        neutral.Reply,
        id=words,
        model=words,
        choices=st.builds(
            neutral.Choice,
            parts=st.lists(sayable, max_size=5).map(tuple),
            stop=st.sampled_from(stops),
            stop_sequence=st.none() | words,
        ).map(lambda choice: (choice,)),
        usage=usages,
    )


STOPS = [s for s in neutral.StopReason if s is not neutral.StopReason.CONTENT_FILTER]


@given(replies(STOPS))
def test_any_reply_survives_the_wire_whole(reply):
    raw = ANTHROPIC_MESSAGES.encode_reply(reply)

    judged_message(raw)
    back = ANTHROPIC_MESSAGES.decode_reply(raw)
    assert isinstance(back, neutral.Reply)
    assert back.choices == reply.choices
    assert back.usage == (reply.usage or Usage())


@given(replies(STOPS))
def test_any_reply_survives_the_wire_streamed(reply):
    stream = write_stream(*events_of(reply))

    judged_stream(stream)
    back = collect(read_stream(stream))
    assert back.choices == reply.choices
    assert back.usage == (reply.usage or Usage())
